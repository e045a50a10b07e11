// What an author has of the captions on the page of a video: which there are, a button to remove
// each, and a form to add or replace them by a file.
import { caption, type Video } from "./api";
import { make, say } from "./dom";

/** The stages in which a video takes captions. */
const takes = ["uploading", "processing", "reviewing", "scheduled", "publishing", "published"];

export class CaptionForm {
  private readonly box = document.querySelector<HTMLElement>("#own-captions"); // an author's page only
  private languages = "";

  constructor(
    private readonly id: string,
    private readonly changed: (v: Video) => void,
  ) {
    this.box?.querySelector("form")!.addEventListener("submit", (e) => {
      e.preventDefault();
      void this.add(e.target as HTMLFormElement);
    });
  }

  show(v: Video): void {
    if (!this.box) return;
    this.box.hidden = v.ending !== null || v.held || !takes.includes(v.stage);
    const languages = JSON.stringify(v.captions);
    if (languages === this.languages) return;
    this.languages = languages;
    this.box.querySelector("ul")!.replaceChildren(...v.captions.map((c) => make("li", {}, make("span", { lang: c.language }, c.label), " ", this.remover(c.language, c.label))));
  }

  private remover(language: string, label: string): HTMLButtonElement {
    const b = make("button", { type: "button" }, "Remove");
    b.setAttribute("aria-label", `Remove the captions in ${label}`);
    b.addEventListener("click", () => void this.run(b, () => caption(this.id, language), `The captions in ${label} were removed.`));
    return b;
  }

  private async add(form: HTMLFormElement): Promise<void> {
    const file = form.querySelector<HTMLInputElement>("[type=file]")!.files?.[0];
    const language = form.querySelector<HTMLInputElement>("[name=language]")!.value.trim();
    if (!file || !language) return;
    const done = await this.run(form.querySelector("button")!, () => caption(this.id, language, file), "The captions were added.");
    if (done) form.reset();
  }

  /** Sends what a button asks for, and says what has become of it. */
  private async run(b: HTMLButtonElement, send: () => Promise<Video>, done: string): Promise<boolean> {
    const notice = this.box!.querySelector<HTMLElement>("[role=status]")!;
    const problem = this.box!.querySelector<HTMLElement>("[role=alert]")!;
    if (b.hasAttribute("aria-disabled")) return false;
    b.setAttribute("aria-disabled", "true"); // keeps the focus, which `disabled` would drop
    try {
      const v = await send();
      say(problem, "");
      say(notice, done);
      if (document.activeElement === b && b.closest("li")) this.box!.querySelector<HTMLElement>("summary")!.focus(); // its button goes
      this.changed(v);
      return true;
    } catch (e) {
      say(notice, "");
      say(problem, (e as Error).message);
      return false;
    } finally {
      b.removeAttribute("aria-disabled");
    }
  }
}
