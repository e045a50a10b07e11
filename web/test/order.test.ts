import assert from "node:assert/strict";
import { test } from "node:test";
import { displaced, focusAfter } from "../src/actions";
import { older } from "../src/order";

test("an event of before a command never undoes its answer", () => {
  const known = { id: "a", revision: 7 };
  assert.equal(older({ id: "a", revision: 6 }, known), true);
  assert.equal(older({ id: "a", revision: 7 }, known), false); // progress has no revision of its own
  assert.equal(older({ id: "a", revision: 8 }, known), false);
  assert.equal(older({ id: "b", revision: 1 }, known), false); // another video
  assert.equal(older({ id: "a" }, known), false);
  assert.equal(older({ id: "a", revision: 1 }, { id: "a" }), false);
  assert.equal(older({ id: "a", revision: 1 }, null), false);
});

test("the focus stays on its command, goes to what undoes it, and never to another", () => {
  assert.equal(focusAfter("cancel", ["resume", "cancel", "delete"]), "cancel");
  assert.equal(focusAfter("pause", ["resume", "cancel", "delete"]), "resume");
  assert.equal(focusAfter("resume", ["pause", "cancel", "delete"]), "pause");
  assert.equal(focusAfter("pause", ["delete"]), null);
  assert.equal(focusAfter("approve", ["delete"]), null);
});

test("a button is displaced where another one was, which it does not undo", () => {
  const before = ["pause", "cancel", "delete"];
  assert.equal(displaced("delete", 0, before), true);
  assert.equal(displaced("resume", 0, before), false);
  assert.equal(displaced("cancel", 1, before), false);
  assert.equal(displaced("approve", 3, before), true);
  assert.equal(displaced("delete", 0, []), false); // the first buttons of a page
});
