/**
 * The product pictures, drawn by hand as SVG so that the shop needs no files and no other host.
 *
 * Each is drawn in a box of 200 x 160 on a ground line at y = 138. Colours are attributes and not styles, so that the
 * page can forbid inline styles.
 */

/** Dark parts that stand free: the page lightens them on a dark ground. */
const ink = "currentColor";
const dark = "#2c3a3f";
const steel = "#a9b7ba";
const pale = "#dde5e4";

const pictures: Readonly<Record<string, string>> = {
  "stoneware-mug": `
    <path d="M128 74h12a20 20 0 0 1 0 40h-14" fill="none" stroke="#c2613d" stroke-width="9"/>
    <path d="M62 60h70v56a20 20 0 0 1-20 20H82a20 20 0 0 1-20-20z" fill="#d9754c"/>
    <path d="M62 60h70v30c-10 8-16-4-26 2s-16 6-24 0-14 2-20-2z" fill="#f1e4d3"/>
    <ellipse cx="97" cy="60" rx="35" ry="7" fill="#5b3a2a"/>
    <path d="M84 44c-6-8 6-12 0-22M104 44c-6-8 6-12 0-22" fill="none" stroke="#8fa3a3" stroke-width="3" stroke-linecap="round" opacity=".6"/>`,
  "gooseneck-kettle": `
    <path d="M72 112C44 112 52 72 30 60" fill="none" stroke="#8d9da1" stroke-width="8" stroke-linecap="round"/>
    <path d="M128 74c34-14 42 10 36 40" fill="none" stroke="${ink}" stroke-width="8" stroke-linecap="round"/>
    <path d="M76 72h52l16 54a9 9 0 0 1-9 12H69a9 9 0 0 1-9-12z" fill="${steel}"/>
    <path d="M76 72h18l-14 66H69a9 9 0 0 1-9-12z" fill="${pale}"/>
    <path d="M76 72a26 10 0 0 1 52 0z" fill="#8d9da1"/>
    <circle cx="102" cy="57" r="7" fill="#b98552"/>`,
  "walnut-board": `
    <g transform="rotate(-9 100 88)">
      <rect x="34" y="56" width="104" height="68" rx="12" fill="#8a5a3c"/>
      <path d="M136 78h26a12 12 0 0 1 0 24h-26z" fill="#8a5a3c"/>
      <circle cx="161" cy="90" r="5" fill="#e9dccb"/>
      <path d="M40 72c30-6 50 6 96-2M40 90c34 6 60-8 96 0M40 108c30-4 60 6 96-2" fill="none" stroke="#6d432a" stroke-width="2.5" opacity=".7"/>
      <rect x="44" y="66" width="84" height="48" rx="7" fill="none" stroke="#a9744f" stroke-width="3"/>
    </g>
    <ellipse cx="74" cy="84" rx="24" ry="15" fill="#e3a857"/>
    <path d="M60 82l6-8M70 85l6-10M80 87l6-10" stroke="#b77c33" stroke-width="3" stroke-linecap="round"/>`,
  "reading-lamp": `
    <path d="M92 62l-30 74h86z" fill="#f6d58a" opacity=".55"/>
    <path d="M146 134L128 84l-30-32" fill="none" stroke="${ink}" stroke-width="6" stroke-linejoin="round" stroke-linecap="round"/>
    <circle cx="128" cy="84" r="6" fill="#b98552"/>
    <path d="M104 34l18 22-44 36c-10-20-4-44 26-58z" fill="#2f7d74"/>
    <path d="M122 56L78 92l-3-7 42-36z" fill="#f8e3ad"/>
    <path d="M122 138a24 10 0 0 1 48 0z" fill="${ink}"/>`,
  "dot-notebook": `
    <g transform="rotate(7 100 88)">
      <rect x="62" y="36" width="80" height="102" rx="5" fill="#ece6da"/>
      <rect x="56" y="34" width="80" height="102" rx="5" fill="#31566b"/>
      <rect x="56" y="34" width="13" height="102" rx="5" fill="#274556"/>
      <rect x="84" y="54" width="36" height="20" rx="3" fill="#ece6da"/>
      <path d="M90 61h24M90 67h14" stroke="#31566b" stroke-width="2.5"/>
      <path d="M124 34h5v102h-5z" fill="#d9754c"/>
      <path d="M98 136h6v14l-3-4-3 4z" fill="#d9754c"/>
    </g>`,
  "quiet-clock": `
    <circle cx="100" cy="84" r="54" fill="#c89b6a"/>
    <circle cx="100" cy="84" r="45" fill="#f7f3ea"/>
    <path d="M100 45v7M100 116v7M61 84h7M132 84h7" stroke="#8a6a45" stroke-width="4" stroke-linecap="round"/>
    <path d="M100 84V58M100 84l20 13" stroke="${dark}" stroke-width="5" stroke-linecap="round"/>
    <path d="M100 84l-24 16" stroke="#d9754c" stroke-width="2.5" stroke-linecap="round"/>
    <circle cx="100" cy="84" r="4.5" fill="${dark}"/>`,
  "terracotta-planter": `
    <path d="M100 84C98 60 100 44 104 30" fill="none" stroke="#3f7a52" stroke-width="4"/>
    <path d="M102 58c-30 4-38-14-40-24 22-2 38 6 40 24zM101 72c26 2 38-10 42-24-24 0-40 8-42 24z" fill="#4f9463"/>
    <path d="M104 40c-12-10-8-22-2-28 12 8 12 20 2 28z" fill="#6aac78"/>
    <path d="M66 92h68l-8 40H74z" fill="#cf6f47"/>
    <path d="M60 80h80v15H60z" fill="#dd8157"/>
    <path d="M66 95h68l-1 5H67z" fill="#a9522f" opacity=".5"/>
    <path d="M62 130h76l-5 8H67z" fill="#b85d38"/>`,
  "watering-can": `
    <path d="M78 74c2-42 70-42 70 6" fill="none" stroke="#5f8a86" stroke-width="7"/>
    <path d="M76 118L34 66" stroke="#6f9d98" stroke-width="9" stroke-linecap="round"/>
    <path d="M20 70l22-18 6 14-14 12z" fill="#d8a94f"/>
    <path d="M72 74h74l6 64H66z" fill="#7fb0aa"/>
    <path d="M72 74h20l-4 64H66z" fill="#a4cbc5"/>
    <path d="M69 104h80l1 8H68z" fill="#5f8a86"/>
    <path d="M18 84l-2 10M28 92l-2 12M14 104l-2 8" stroke="#6fb2d6" stroke-width="3" stroke-linecap="round"/>`,
  "storm-lantern": `
    <path d="M70 58C60 6 140 6 130 58" fill="none" stroke="${ink}" stroke-width="4"/>
    <path d="M84 44h32l6 14H78z" fill="#5a6b70"/>
    <path d="M80 58h40c12 20 12 32 0 50H80c-12-18-12-30 0-50z" fill="#fbeec3"/>
    <path d="M100 98c-16-8-6-22 0-32 6 10 16 24 0 32z" fill="#e9923a"/>
    <path d="M100 97c-7-5-3-11 0-16 3 5 7 11 0 16z" fill="#fff3cf"/>
    <path d="M70 58v52M130 58v52" stroke="#5a6b70" stroke-width="5"/>
    <path d="M68 108h64v10l6 12a6 6 0 0 1-6 8H68a6 6 0 0 1-6-8l6-12z" fill="#5a6b70"/>
    <path d="M88 118h24v8H88z" fill="#d8a94f"/>`,
  "day-pack": `
    <path d="M84 40c0-20 32-20 32 0" fill="none" stroke="#6b4a2f" stroke-width="6"/>
    <path d="M64 64c-14 8-16 40-8 62M136 64c14 8 16 40 8 62" fill="none" stroke="#6b4a2f" stroke-width="6"/>
    <path d="M62 62a38 30 0 0 1 76 0v64a12 12 0 0 1-12 12H74a12 12 0 0 1-12-12z" fill="#6f7d4c"/>
    <path d="M62 60a38 30 0 0 1 76 0v14c0 8-76 8-76 0z" fill="#87965f"/>
    <rect x="74" y="96" width="52" height="32" rx="7" fill="#5f6c40"/>
    <path d="M84 70v22M116 70v22" stroke="#a8713f" stroke-width="6" stroke-linecap="round"/>
    <path d="M80 88h8v7h-8zM112 88h8v7h-8z" fill="#e0b76c"/>`,
  "steel-bottle": `
    <path d="M84 20h32a4 4 0 0 1 4 4v18H80V24a4 4 0 0 1 4-4z" fill="${ink}"/>
    <path d="M84 42h32c2 12 10 14 10 28v58a10 10 0 0 1-10 10H84a10 10 0 0 1-10-10V70c0-14 8-16 10-28z" fill="#2f7d74"/>
    <path d="M88 48c-2 10-6 14-6 24v56" fill="none" stroke="#6fb8ac" stroke-width="6" stroke-linecap="round"/>
    <path d="M74 104h52v12H74z" fill="${pale}" opacity=".85"/>`,
  "storm-umbrella": `
    <path d="M100 30v88c0 20 26 20 26 4" fill="none" stroke="#b98552" stroke-width="6" stroke-linecap="round"/>
    <path d="M100 16v12" stroke="${ink}" stroke-width="4" stroke-linecap="round"/>
    <path d="M28 92C30 50 62 26 100 26s70 24 72 66c-10-12-26-12-36 0-8-12-28-12-36 0-8-12-28-12-36 0-10-12-26-12-36 0z" fill="#d9754c"/>
    <path d="M64 92c2-34 16-58 36-66 20 8 34 32 36 66-8-12-28-12-36 0-8-12-28-12-36 0z" fill="#e78f68"/>
    <path d="M36 118l-4 10M52 130l-4 10M160 116l-4 10M172 132l-4 10" stroke="#6fb2d6" stroke-width="3" stroke-linecap="round"/>`,
};

const crate = `
    <path d="M52 68h96v70H52z" fill="#b98552"/>
    <path d="M52 90h96M52 114h96" stroke="#8a5a3c" stroke-width="4"/>`;

/** The picture of a product, or of a crate for a product that was never drawn. */
export function drawProduct(id: string): string {
  const drawing = Object.hasOwn(pictures, id) ? pictures[id] : crate;
  return `<svg class="picture" viewBox="0 0 200 160" aria-hidden="true"><ellipse cx="100" cy="139" rx="64" ry="7" fill="#000" opacity=".12"/>${drawing}</svg>`;
}

/** The sign of the shop: a mill wheel, also used as the page's icon. */
export const sign = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32" width="32" height="32" aria-hidden="true"><circle cx="16" cy="14" r="9" fill="none" stroke="#2f7d74" stroke-width="2.6"/><path d="M16 2v24M4 14h24M7.5 5.5l17 17M24.5 5.5l-17 17" stroke="#2f7d74" stroke-width="2.2" stroke-linecap="round"/><circle cx="16" cy="14" r="2.6" fill="#d9754c"/><path d="M2 29c3-3 5-3 7 0s5 3 7 0 5-3 7 0 5 3 7 0" fill="none" stroke="#4a9fc4" stroke-width="2.6" stroke-linecap="round"/></svg>`;
