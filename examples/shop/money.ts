/** How the shop writes prices. */
export const euros: Intl.NumberFormat = new Intl.NumberFormat("en-IE", { style: "currency", currency: "EUR" });
