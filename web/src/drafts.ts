// The page /drafts: takes a draft up again, or throws it away.
import { ask } from "./api";
import { confirmed } from "./confirm";
import { must, say } from "./dom";
import { moment } from "./words";

for (const time of document.querySelectorAll("time")) time.textContent = moment(time.dateTime);

for (const item of document.querySelectorAll<HTMLElement>("[data-draft]")) {
  const id = item.dataset.draft!;
  item.querySelector(".resume")!.addEventListener("click", () =>
    attempt(item, async () => {
      const v = await ask(id, "resume");
      location.assign(v.stage === "uploading" && v.upload?.url ? `/upload?video=${id}` : `/watch/${id}`);
    }),
  );
  item.querySelector(".delete")!.addEventListener("click", async () => {
    if ((await confirmed("delete")) === null) return;
    await attempt(item, async () => {
      await ask(id, "delete");
      item.remove();
      say(must("#problem"), "");
      say(must("#done"), "Thrown away.");
      must("#none").hidden = document.querySelector("[data-draft]") !== null;
      must("h1").focus();
    });
  });
}

async function attempt(item: HTMLElement, action: () => Promise<void>): Promise<void> {
  const buttons = item.querySelectorAll("button");
  buttons.forEach((b) => (b.disabled = true));
  await action().catch((e: Error) => say(must("#problem"), e.message));
  buttons.forEach((b) => (b.disabled = false));
}
