/**
 * PNG: a picture as pixels, in the font that comes with the command.
 *
 * Servers have no fonts and libraries that draw text without one draw nothing, silently.
 */
import { fileURLToPath } from "node:url";
import { Resvg } from "@resvg/resvg-js";

const FONTS: readonly string[] = ["inter-regular.ttf", "inter-semibold.ttf"].map((name) =>
  fileURLToPath(new URL(`../../fonts/${name}`, import.meta.url)),
);

/** Twice the picture's own pixels, for sharp text; fewer where that would be too many. */
const SCALE = 2;
const PIXEL_COUNT_MAX = 60e6;
const SIDE_PIXELS_MAX = 32_000;

export function pngOf(svg: string): Uint8Array {
  const font = {
    loadSystemFonts: false,
    fontFiles: [...FONTS],
    defaultFontFamily: "Inter",
    sansSerifFamily: "Inter",
  };
  const { width, height } = new Resvg(svg, { font });
  const scale = Math.min(
    SCALE,
    Math.sqrt(PIXEL_COUNT_MAX / (width * height)),
    SIDE_PIXELS_MAX / Math.max(width, height),
  );
  return new Resvg(svg, { font, fitTo: { mode: "zoom", value: scale } }).render().asPng();
}
