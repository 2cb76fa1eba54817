// What Plotly uses of culori, for the spaces in which CSS writes colors. Its own bundle has thirty spaces.
import { modeHsl, modeLrgb, modeRgb, useMode } from "culori/fn";

useMode(modeRgb);
useMode(modeLrgb);
useMode(modeHsl);
export { converter, formatHex, formatRgb, wcagContrast, wcagLuminance } from "culori/fn";
