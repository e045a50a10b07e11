// What a browser can tell of a file before and while it is sent: whether it can
// be read, whether it is a picture, and which bytes it has.
import { sha256 } from "./sha256";

/** The file was changed, moved or taken away since it was chosen: browsers read it no more. */
export class Unreadable extends Error {
  constructor() {
    super("This file was changed or can't be read any more; choose it again.");
  }
}

/** The bytes of a part of a file, or Unreadable. */
async function read(part: Blob): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = await part.arrayBuffer().catch(() => Promise.reject(new Unreadable()));
  if (bytes.byteLength !== part.size) throw new Unreadable();
  return new Uint8Array(bytes);
}

/** Reads a little at an offset; rejects with Unreadable where that is not possible. */
export async function readable(file: Blob, offset: number): Promise<void> {
  const from = Math.min(offset, Math.max(0, file.size - 1));
  await read(file.slice(from, from + 4096));
}

const edge = 1 << 20; // bytes

/**
 * What tells one film from another, whatever its name and date: the SHA-256 of its
 * first MiB, its last MiB and its size (eight bytes, big-endian), in hex.
 */
export async function identity(file: Blob): Promise<string> {
  const size = new DataView(new ArrayBuffer(8));
  size.setBigUint64(0, BigInt(file.size));
  const first = await read(file.slice(0, edge));
  const last = await read(file.slice(Math.max(0, file.size - edge)));
  const all = new Uint8Array(first.length + last.length + 8);
  all.set(first);
  all.set(last, first.length);
  all.set(new Uint8Array(size.buffer), first.length + last.length);
  return sha256(all);
}

/** The kind of still picture that a file is, or "" for everything else: the server looks closer. */
export async function stillPicture(file: Blob): Promise<string> {
  return pictureKind(await read(file.slice(0, 512)));
}

const signatures: [kind: string, start: string][] = [
  ["JPEG", "\xff\xd8\xff"],
  ["PNG", "\x89PNG\r\n\x1a\n"],
  ["GIF", "GIF87a"],
  ["GIF", "GIF89a"],
  ["TIFF or raw", "II*\0"],
  ["TIFF or raw", "MM\0*"],
  ["JPEG XL", "\xff\x0a"],
  ["JPEG XL", "\0\0\0\x0cJXL "],
  ["JPEG 2000", "\0\0\0\x0cjP  \r\n\x87\n\0\0\0\x14ftypjp2 "],
  ["Photoshop", "8BPS"],
];

/** The kind of still picture that begins with these bytes, or "". */
export function pictureKind(bytes: Uint8Array): string {
  const start = String.fromCharCode(...bytes.subarray(0, 512));
  const known = signatures.find(([, s]) => start.startsWith(s));
  if (known) return known[0];
  if (start.startsWith("RIFF") && start.slice(8, 12) === "WEBP") return "WebP";
  if (/^BM[^]{4}\0{4}[^]{4}[\x0c\x28\x34\x38\x40\x6c\x7c]\0{3}/.test(start)) return "BMP";
  if (start.slice(4, 8) === "ftyp") return pictureBrand(brands(start));
  return "";
}

/** The brands of a file type box (ISO/IEC 14496-12, 4.3), the major one first. */
function brands(start: string): string[] {
  const size = [0, 1, 2, 3].reduce((n, i) => n * 256 + start.charCodeAt(i), 0);
  const compatible = start.slice(16, Math.max(16, size)).match(/[^]{4}/g) ?? [];
  return [start.slice(8, 12), ...compatible];
}

// ISO/IEC 23008-12, AVIF, and Canon's raw pictures; and what films are known by, sequences of pictures included.
const stills: Record<string, string> = { heic: "HEIC", heix: "HEIC", heim: "HEIC", heis: "HEIC", mif1: "HEIF", mif2: "HEIF", avif: "AVIF", "crx ": "CR3" };
const films = /^(iso\w|mp4\d|M4V|qt  |avc\d|hvc\d|hev\w|av01|avis|msf1|3g\w\w|dash|cmf\w|MSNV|f4v )/;

function pictureBrand(all: string[]): string {
  const still = all.find((b) => b in stills);
  if (!still || (all[0] !== "crx " && all.some((b) => films.test(b)))) return "";
  return stills[still];
}
