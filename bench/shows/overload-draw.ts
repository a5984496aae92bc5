import type { OverloadFigures } from "./overload.ts";
export function drawOverload(_shown: readonly OverloadFigures[], _capacity: number, _caption: string): string {
  return "";
}
