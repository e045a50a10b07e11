import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { identity, pictureKind, readable, stillPicture, Unreadable } from "../src/files";
import { digest, sha256 } from "../src/sha256";
import { same } from "../src/unfinished";

const bytes = (text: string) => Uint8Array.from(text, (c) => c.charCodeAt(0));
const box = (...brands: string[]) => {
  const size = 16 + 4 * (brands.length - 1);
  return bytes(`\0\0\0${String.fromCharCode(size)}ftyp${brands[0]}\0\0\0\0${brands.slice(1).join("")}`);
};

test("still pictures are known by their first bytes", () => {
  assert.equal(pictureKind(bytes("\xff\xd8\xff\xe1\0\x10Exif")), "JPEG");
  assert.equal(pictureKind(bytes("\x89PNG\r\n\x1a\n\0\0\0\rIHDR")), "PNG");
  assert.equal(pictureKind(bytes("GIF89a")), "GIF");
  assert.equal(pictureKind(bytes("RIFF\x10\0\0\0WEBPVP8 ")), "WebP");
  assert.equal(pictureKind(bytes("II*\0\x08\0\0\0")), "TIFF or raw");
  assert.equal(pictureKind(bytes(`BM\x46\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0`)), "BMP");
  assert.equal(pictureKind(box("heic", "mif1", "heic", "miaf")), "HEIC");
  assert.equal(pictureKind(box("mif1", "mif1", "heic")), "HEIF");
  assert.equal(pictureKind(box("avif", "avif", "mif1", "miaf", "MA1B")), "AVIF");
});

test("films are not taken for pictures", () => {
  for (const brands of [["isom", "isom", "iso2", "avc1", "mp41"], ["qt  ", "qt  "], ["mp42", "isom", "mp42"], ["3gp5", "3gp5", "isom"], ["M4V ", "mp42"], ["avis", "avis", "avif", "mif1"], ["isom", "heic"]])
    assert.equal(pictureKind(box(...brands)), "", brands.join());
  for (const start of ["", "\x1aE\xdf\xa3", "RIFF\x10\0\0\0AVI LIST", "G@\0\x10", "Dear Ann, ", "BMmm", "\0\0\0\x08wide\0\0\0\0mdat"])
    assert.equal(pictureKind(bytes(start)), "", start);
});

test("the bytes after a file type box are not its brands", () => {
  const film = new Uint8Array([...box("isom", "iso2"), ...bytes("heicavif")]);
  assert.equal(pictureKind(film), "");
  const photo = new Uint8Array([...box("heic", "mif1"), ...bytes("isommp42")]);
  assert.equal(pictureKind(photo), "HEIC");
});

test("a picture is told from a film by the file, not by its name", async () => {
  assert.equal(await stillPicture(new File([bytes("\xff\xd8\xff\xe0")], "film.mp4", { type: "video/mp4" })), "JPEG");
});

const noise = (size: number, seed: number) => Uint8Array.from({ length: size }, (_, i) => (i * 2654435761 + seed * 40503 + (i >> 8)) & 255);

test("SHA-256 is the same with the browser's own and without", async () => {
  for (const size of [0, 1, 55, 56, 63, 64, 65, 1000, 70_000]) {
    const data = noise(size, 1);
    const want = createHash("sha256").update(data).digest("hex");
    assert.equal([...digest(data)].map((b) => b.toString(16).padStart(2, "0")).join(""), want, `${size} bytes`);
    assert.equal(await sha256(data), want);
  }
});

test("the identity of a file is its content's, whatever its name and date", async () => {
  const data = noise(3_000_000, 2);
  const one = await identity(new File([data], "a.mp4", { lastModified: 1 }));
  const two = await identity(new File([data], "b.mov", { lastModified: 2 }));
  assert.equal(one, two);
  for (const at of [0, 500_000, 2_500_000, 2_999_999]) {
    const other = data.slice();
    other[at] ^= 1;
    assert(one !== (await identity(new File([other], "a.mp4"))), `byte ${at}`);
  }
  assert(one !== (await identity(new File([data.subarray(0, 2_999_999)], "a.mp4"))));
  await identity(new File([], "empty")); // is refused elsewhere, for being empty
});

test("an entry with an identity is known by that alone, an older one by name, size and date", () => {
  const file = { name: "b.mov", size: 5, lastModified: 7 };
  const entry = { id: "x", user: "me", name: "a.mp4", size: 5, modified: 6 };
  assert.equal(same({ ...entry, content: "c" }, file, "c"), true);
  assert.equal(same({ ...entry, name: "b.mov", modified: 7, content: "c" }, file, "d"), false);
  assert.equal(same(entry, file, "c"), false);
  assert.equal(same({ ...entry, name: "b.mov", modified: 7 }, file, "c"), true);
});

test("a file that is read no more is Unreadable", async () => {
  await readable(new Blob([noise(10, 3)]), 0);
  await readable(new Blob([noise(10, 3)]), 10);
  const changed = new Blob([noise(10, 3)]);
  changed.slice = () => ({ size: 4, arrayBuffer: () => Promise.reject(new Error("NotReadableError")) }) as unknown as Blob;
  await assert.rejects(readable(changed, 0), Unreadable);
  changed.slice = () => ({ size: 4, arrayBuffer: () => Promise.resolve(new ArrayBuffer(2)) }) as unknown as Blob;
  await assert.rejects(readable(changed, 0), Unreadable);
});
