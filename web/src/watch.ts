// The page of one video: /watch/{id} and /embed/{id}.
import { ask, follow, load, Refused, type Video } from "./api";
import { Player } from "./player";

const find = <T extends HTMLElement>(selector: string) => document.querySelector<T>(selector);

const page = find("[data-video]");
if (page) watch(page.dataset.video!);

function watch(id: string): void {
  const player = new Player(find<HTMLVideoElement>("#player")!, id, async () => {
    // Either the video is gone or the addresses have expired. In the second case start over.
    try {
      show(await load(id));
    } catch (e) {
      if (e instanceof Refused && e.status === 410) gone();
    }
  });

  function show(v: Video): void {
    if (v.visible) player.start().catch((e: Error) => say(e.message));
    else player.stop();
    say(v.visible ? "" : sentence(v));
    progress(v);
    buttons(v, (command) => ask(id, command).then(show));
  }

  function gone(): void {
    player.stop();
    document.querySelectorAll<HTMLElement>("#about, #controls, #progress").forEach((e) => e.remove());
    document.querySelectorAll<HTMLDialogElement>("dialog[open]").forEach((d) => d.close());
    document.title = "Deleted";
    say("This video was deleted.");
  }

  follow(id, show, gone);
  // A page from the back/forward cache could play on without asking.
  addEventListener("pageshow", (e) => e.persisted && location.reload());
}

function say(text: string): void {
  const notice = find("#notice")!;
  notice.textContent = text;
  notice.hidden = text === "";
}

function sentence(v: Video): string {
  if (v.failure) return v.failure.message;
  if (v.paused) return `Paused while ${v.stage}`;
  switch (v.stage) {
    case "pending_deletion":
      return "Deleted. Nobody can watch it any more.";
    case "purging":
      return "Being erased from every server";
    case "published":
      return "";
    default:
      return v.stage.charAt(0).toUpperCase() + v.stage.slice(1).replace("_", " ");
  }
}

function progress(v: Video): void {
  const box = find("#progress");
  if (!box) return;
  const p = v.progress;
  box.hidden = !p || !p.total || v.stage === "published";
  if (!p || box.hidden) return;
  const bar = box.querySelector("progress")!;
  bar.max = p.total;
  bar.value = p.done;
  const eta = p.eta_seconds == null ? "" : `, about ${Math.ceil(p.eta_seconds)} s left`;
  const share = Math.floor((100 * p.done) / p.total);
  box.querySelector("output")!.textContent = `${share} %${eta}`;
}

const label = (command: string) => command.charAt(0).toUpperCase() + command.slice(1);

/** Shows a button for each command that this person can give now, as the API lists them. */
function buttons(v: Video, give: (command: string) => Promise<void>): void {
  const box = find("#controls");
  if (!box || box.dataset.actions === v.actions.join()) return;
  box.dataset.actions = v.actions.join();
  box.replaceChildren(
    ...v.actions.map((command) => {
      const b = document.createElement("button");
      b.type = "button";
      b.textContent = label(command);
      b.className = command;
      b.addEventListener("click", async () => {
        if (["delete", "cancel"].includes(command) && !(await confirmed(command))) return;
        b.disabled = true;
        await give(command).catch((e: Error) => say(e.message));
        b.disabled = false;
      });
      return b;
    }),
  );
}

/** Asks in an alertdialog; Escape means Keep. */
function confirmed(command: string): Promise<boolean> {
  const dialog = find<HTMLDialogElement>(`#confirm-${command}`)!;
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((done) =>
    dialog.addEventListener("close", () => done(dialog.returnValue === "yes"), { once: true }),
  );
}
