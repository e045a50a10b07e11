// A button for each command that this person can give now.
import type { Video } from "./api";
import { confirmed, confirms, type Answer } from "./confirm";
import { make } from "./dom";
import { capital } from "./words";

type Give = (command: string, details?: Answer) => Promise<void>;

const guard = 400; // ms in which a button that has just come is not pressed: another one was there

/** The command that undoes another, and takes its place. */
const opposites: Record<string, string> = { pause: "resume", resume: "pause", hold: "release", release: "hold" };

/** The command that gets the focus of the one that had it: the same, or what undoes it; never another that happens to stand there. */
export function focusAfter(had: string, commands: string[]): string | null {
  return [had, opposites[had]].find((c) => c !== undefined && commands.includes(c)) ?? null;
}

/** Whether a button has come to where another was, so that a press may have been meant for that one. */
export function displaced(command: string, place: number, before: string[]): boolean {
  const was = before[place];
  return before.length > 0 && was !== command && (was === undefined || opposites[was] !== command);
}

/** Shows the buttons that the table allows now. give is called with what was confirmed, where that is needed. */
export function showActions(v: Video, give: Give): void {
  const box = document.querySelector<HTMLElement>("#controls");
  const commands = v.actions;
  if (!box || (box.dataset.of === v.id && box.dataset.actions === commands.join())) return;
  const before = (box.dataset.actions ?? "").split(",").filter((c) => c !== "");
  [box.dataset.of, box.dataset.actions] = [v.id, commands.join()];
  const had = (document.activeElement as HTMLElement | null)?.closest<HTMLElement>("#controls [data-command]")?.dataset.command;
  box.replaceChildren(...commands.map((c, i) => button(c, v, give, displaced(c, i, before))));
  if (had) focus(box, had);
}

/** Whoever pressed Pause with the keyboard finds Resume under their finger, and nothing that they didn't press. */
function focus(box: HTMLElement, had: string): void {
  const next = focusAfter(had, [...box.children].map((b) => (b as HTMLElement).dataset.command!));
  if (next) box.querySelector<HTMLElement>(`[data-command=${next}]`)!.focus();
  else box.focus();
}

function button(command: string, v: Video, give: Give, fresh: boolean): HTMLButtonElement {
  const b = make("button", { type: "button", className: command }, capital(command));
  b.dataset.command = command;
  if (fresh) {
    b.setAttribute("aria-disabled", "true");
    setTimeout(() => b.removeAttribute("aria-disabled"), guard);
  }
  let asked = false;
  b.addEventListener("click", async (e) => {
    if (asked || (b.hasAttribute("aria-disabled") && e.detail > 0)) return; // detail is 0 for keys: they go to what has the focus
    const answer = confirms(command) ? await confirmed(command, v) : {};
    const at = document.activeElement;
    if (!at || at === document.body || at.closest("dialog")) focus(document.querySelector<HTMLElement>("#controls")!, command); // not every browser gives it back
    if (answer === null) return;
    asked = true;
    b.setAttribute("aria-disabled", "true"); // keeps the focus, which `disabled` would drop
    await give(command, Object.keys(answer).length > 0 ? answer : undefined);
    b.removeAttribute("aria-disabled");
    asked = false;
  });
  return b;
}
