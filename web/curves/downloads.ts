import type { CurveDrawing } from "../../src/logview/curves/curve-svg.js";
import { curveSvg } from "../../src/logview/curves/curve-svg.js";
import { cssColor } from "../app/theme.js";

/** Hands a file to the browser's downloads. */
export function download(name: string, content: Blob): void {
  const url = URL.createObjectURL(content);
  const anchor = document.createElement("a");
  anchor.href = url;
  anchor.download = name.replace(/[^\w.-]+/g, "-");
  anchor.click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

/** Pixels of the picture for one of the drawing: sharp in a document. */
const SCALE = 2;

/** The drawing as PNG, on the page's ground. */
export async function curvePng(drawing: CurveDrawing): Promise<Blob> {
  const svg = curveSvg(drawing).replace("<svg ", `<svg color="${cssColor("--ink")}" `);
  const image = new Image();
  image.src = URL.createObjectURL(new Blob([svg], { type: "image/svg+xml" }));
  await image.decode();
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [image.width * SCALE, image.height * SCALE];
  const context = canvas.getContext("2d");
  if (context === null) throw new Error("This browser draws nothing");
  context.fillStyle = cssColor("--panel");
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  URL.revokeObjectURL(image.src);
  return await new Promise((resolve, reject) =>
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("No picture"))), "image/png"),
  );
}
