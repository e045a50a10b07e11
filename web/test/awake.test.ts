import assert from "node:assert/strict";
import { test } from "node:test";

/** A browser's wake lock: what it gives it takes back when the page is hidden. */
class Lock {
  released = false;
  async release(): Promise<void> {
    this.released = true;
  }
}
const page = Object.assign(new EventTarget(), { hidden: false });
let locks: Lock[] = [];
let refuses = false;
const wakeLock = {
  async request(type: string): Promise<Lock> {
    await settled();
    assert.equal(type, "screen");
    if (refuses || page.hidden) throw new Error("NotAllowedError");
    const lock = new Lock();
    locks.push(lock);
    return lock;
  },
};
Object.defineProperty(globalThis, "document", { value: page });
Object.defineProperty(globalThis, "navigator", { value: { wakeLock } });

const settled = () => new Promise((resolve) => setTimeout(resolve, 1));
const held = () => locks.filter((lock) => !lock.released).length;

function show(visible: boolean): void {
  page.hidden = !visible;
  if (!visible) for (const lock of locks) lock.released = true;
  page.dispatchEvent(new Event("visibilitychange"));
}

/** What is wanted, one after the other, leaves so many locks. */
async function leaves(n: number, ...wishes: boolean[]): Promise<void> {
  const { keepAwake } = await import("../src/awake");
  for (const on of wishes) keepAwake(on);
  for (let i = 0; i < 10; i++) await settled();
  assert.equal(held(), n, `after ${wishes.join(", ")}`);
}

test("the screen stays on while it is wanted, by one lock", async () => {
  await leaves(1, true);
  await leaves(1, true);
  await leaves(0, false);
  assert.equal(locks.length, 1);
});

test("a wish that changes before the browser has answered leaves no lock behind", async () => {
  await leaves(0, true, false);
  await leaves(1, true, false, true);
  await leaves(0, false);
});

test("a page that is shown again takes the lock again, if it is still wanted", async () => {
  await leaves(1, true);
  show(false);
  await leaves(0);
  show(true);
  await leaves(1);
  await leaves(0, false);
  show(false);
  show(true);
  await leaves(0);
});

test("a page that is hidden takes none, until it is shown", async () => {
  show(false);
  await leaves(0, true);
  show(true);
  await leaves(1);
  await leaves(0, false);
});

test("a browser that refuses is let be, and asked again when the page is shown", async () => {
  refuses = true;
  await leaves(0, true);
  refuses = false;
  show(false);
  show(true);
  await leaves(1);
  await leaves(0, false);
});
