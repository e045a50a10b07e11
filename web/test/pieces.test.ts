import assert from "node:assert/strict";
import { test } from "node:test";
import { Pieces, smallest } from "../src/pieces";

const MiB = 1 << 20;

test("a piece lasts four seconds at the rate just measured", () => {
  const p = new Pieces();
  assert.equal(p.size, MiB);
  p.stored(MiB, 1000);
  assert.equal(p.size, 4 * MiB);
  p.stored(4 * MiB, 1000);
  assert.equal(p.size, 16 * MiB);
  p.stored(16 * MiB, 8000); // the network has become slower
  assert.equal(p.size, 8 * MiB);
});

test("no piece is shorter than 512 KiB or longer than 64 MiB", () => {
  const p = new Pieces();
  p.stored(MiB, 1);
  assert.equal(p.size, 64 * MiB);
  p.stored(MiB, 600_000);
  assert.equal(p.size, smallest);
  p.broken();
  assert.equal(p.size, smallest);
  p.stored(0, 10); // nothing is said by nothing
  assert.equal(p.size, smallest);
});

test("long pieces are whole segments", () => {
  const p = new Pieces();
  p.stored(11 * MiB, 2000);
  assert.equal(p.size, 16 * MiB);
});

test("a break halves the next piece, and a good one makes it longer again", () => {
  const p = new Pieces();
  p.stored(8 * MiB, 4000);
  p.broken();
  assert.equal(p.size, 4 * MiB);
  p.stored(4 * MiB, 2000);
  assert.equal(p.size, 8 * MiB);
});

test("behind a proxy that takes 1 MB every piece passes in the end, and none is longer again", () => {
  for (const most of [MiB, 1_000_000, 700_000, 600_000]) {
    const p = new Pieces();
    let refusals = 0;
    for (let i = 0; i < 50; i++) {
      if (p.size <= most) p.stored(p.size, 10);
      else {
        refusals++;
        assert(p.refused(p.size));
      }
    }
    assert(p.size <= most, `${p.size} at most ${most}`);
    assert(refusals < 10, `${refusals} refusals`);
  }
});

test("a proxy that takes not even the shortest is told from one that takes less", () => {
  const p = new Pieces();
  assert(p.refused(MiB));
  assert.equal(p.size, smallest);
  assert.equal(p.refused(smallest), false);
});
