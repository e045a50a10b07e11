// The questions before what can't be taken back.
import type { Video } from "./api";
import { must } from "./dom";

/** What was answered, as the command takes it: null to leave everything as it is. */
export type Answer = { keep_draft?: boolean; comment?: string } | null;

/** The commands that are asked about. */
export const confirms = (command: string) => ["cancel", "delete", "reject"].includes(command);

/** Asks in an alertdialog; Escape means Keep. */
export function confirmed(command: string, v?: Video): Promise<Answer> {
  const dialog = must<HTMLDialogElement>(`#confirm-${command}`);
  const draft = dialog.querySelector<HTMLInputElement>("[name=keep_draft]");
  const comment = dialog.querySelector<HTMLTextAreaElement>("[name=comment]");
  if (draft) offerDraft(dialog, draft, v?.keep_draft ?? false);
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((answer) => {
    const closed = () => {
      if (dialog.open) return; // the event comes late: of the time before, and it was opened again
      dialog.removeEventListener("close", closed);
      const details = { ...(draft?.checked && { keep_draft: true }), ...(comment?.value.trim() && { comment: comment.value.trim() }) };
      answer(dialog.returnValue === "yes" ? details : null);
    };
    dialog.addEventListener("close", closed);
  });
}

/** A video that was announced to be kept is kept, whatever is ticked here: throwing it away is Delete. */
function offerDraft(dialog: HTMLElement, draft: HTMLInputElement, announced: boolean): void {
  const text = dialog.querySelector<HTMLElement>("[data-kept]")!;
  const lost = (text.dataset.lost ??= text.textContent!);
  draft.onchange = () => (text.textContent = draft.checked ? text.dataset.kept! : lost);
  draft.checked = announced;
  draft.parentElement!.hidden = announced;
  draft.onchange(new Event("change"));
}
