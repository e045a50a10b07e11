import assert from "node:assert/strict";
import { test } from "node:test";
import { backOff, Recoveries, retryAfter } from "../src/retry";

test("the back-off doubles up to half a minute, a quarter more or less", () => {
  assert.deepEqual([0, 1, 2, 5, 6, 20].map((n) => backOff(n, 0.5)), [500, 1000, 2000, 16_000, 30_000, 30_000]);
  assert.deepEqual([backOff(0, 0), backOff(0, 1)], [375, 625]);
});

test("Retry-After is seconds or a date, and at most five minutes", () => {
  const now = Date.parse("2026-11-26T12:00:00Z");
  assert.equal(retryAfter("7", now), 7000);
  assert.equal(retryAfter("Thu, 26 Nov 2026 12:00:30 GMT", now), 30_000);
  assert.equal(retryAfter("Thu, 26 Nov 2026 11:00:00 GMT", now), 0);
  assert.equal(retryAfter("86400", now), 300_000);
  for (const bad of [null, undefined, "", "soon", "-5"]) assert.equal(retryAfter(bad, now), 0, String(bad));
});

test("a damaged part is repaired three times, then no more; another part anew", () => {
  const r = new Recoveries();
  assert.deepEqual([0, 0.5, 1, 1].map((at) => r.allowed(at)), [true, true, true, false]);
  assert.equal(r.allowed(30), true);
  for (let i = 0; i < 5; i++) r.allowed(30);
  assert.equal(r.allowed(30), false);
  r.reset();
  assert.equal(r.allowed(30), true);
});
