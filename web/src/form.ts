// The form of /upload: which file or address, and what its author says of it.
import { must, say } from "./dom";
import { catchDrops } from "./drops";
import { stillPicture } from "./files";
import { length, size } from "./words";

const recommendedSide = 1080; // pixels

export class Form {
  readonly element = must<HTMLFormElement>("#form");
  private readonly input = must<HTMLInputElement>("#file");
  private readonly address = must<HTMLInputElement>("#address");
  private readonly preview = must<HTMLVideoElement>("#preview");
  private readonly limits: { bytes: number; seconds: number };
  private chosen: File[] = []; // without those that can't be sent
  private displayed: File | null = null;
  private choices = 0;
  private refusal = "";
  private suggested = "";

  /** Settled once it is known what of the files chosen can be sent, and what the page makes of them. */
  examined = Promise.resolve();

  /** A file is being sent: what is chosen now waits for its turn, and its picture is not shown yet. */
  sending = false;

  constructor(
    page: HTMLElement,
    private readonly onChosen: (files: File[]) => Promise<void>,
  ) {
    this.limits = { bytes: Number(page.dataset.maxBytes), seconds: Number(page.dataset.maxSeconds) };
    this.input.addEventListener("change", () => this.choose([...(this.input.files ?? [])]));
    for (const way of this.element.querySelectorAll("[name=way]")) way.addEventListener("change", () => this.turn());
    this.address.addEventListener("input", () => this.refuse(""));
    catchDrops(must("#drop"), (files, why) => {
      if (files.length) this.choose(files);
      else if (why) this.refuse(why);
    });
    this.turn();
  }

  get importing(): boolean {
    return this.field("way") === "address";
  }

  /** What was chosen and can be sent, in order. */
  get files(): File[] {
    return this.chosen;
  }

  /** Why what was chosen can't be sent; empty if some of it can. */
  get objection(): string {
    if (this.importing) return this.address.value.trim() ? "" : "Write down the address of the video first.";
    return this.chosen.length ? "" : this.refusal || "Choose a video first.";
  }

  /** The body of POST /v1/videos. What was left empty is left out. Without the form's title it is titled by the file's name. */
  video(file: File | null, titled: boolean): Record<string, unknown> {
    const minutes = this.field("publish_delay");
    const said = {
      title: titled || !file ? this.field("title") : titleOf(file),
      caption: this.field("caption"),
      hashtags: words(this.field("hashtags")).map((t) => t.replace(/^#/, "")),
      music: this.field("music"),
      visibility: this.field("visibility"),
      publish_at: this.field("publish_at") && new Date(this.field("publish_at")).toISOString(),
      publish_delay: minutes === "" ? "" : Number(minutes) * 60, // 0 is an answer, too
      reviewers: words(this.field("reviewers")).map((n) => n.replace(/^@/, "")),
      review: this.checked("review"),
      keep_draft: this.checked("keep_draft"),
      allow_download: this.checked("allow_download"),
      source: file
        ? { size: file.size, filename: file.name.slice(-255), content_type: file.type || undefined }
        : { url: this.address.value.trim() },
    };
    return Object.fromEntries(Object.entries(said).filter(([, v]) => v !== "" && v !== false && !(Array.isArray(v) && !v.length)));
  }

  /** Says what stands in the way, at the field where it does. */
  refuse(why: string, name = ""): void {
    this.tell(why);
    this.element.querySelectorAll<HTMLElement>("[aria-invalid]").forEach(clearInvalid);
    if (why === "") return;
    const field = this.fieldOf(name);
    field.setAttribute("aria-invalid", "true");
    field.dataset.described ??= field.getAttribute("aria-describedby") ?? "";
    field.setAttribute("aria-describedby", `refusal ${field.dataset.described}`.trim());
    must("#refusal").scrollIntoView({ block: "nearest" });
  }

  /** Leads to the field that was refused. */
  lead(): void {
    const field = this.element.querySelector<HTMLElement>("[aria-invalid]");
    field?.closest("details")?.setAttribute("open", "");
    field?.focus();
  }

  /** Says something that no field is to blame for. */
  tell(text: string): void {
    say(must("#refusal"), text);
  }

  /** Forgets the files chosen, so that the same can be chosen once more. */
  clear(): void {
    this.input.value = "";
    this.chosen = [];
  }

  private fieldOf(name: string): HTMLElement {
    const named = name && this.element.elements.namedItem(name);
    return named instanceof HTMLElement ? named : this.importing ? this.address : this.input;
  }

  private field = (name: string) => String(new FormData(this.element).get(name) ?? "").trim();
  private checked = (name: string) => new FormData(this.element).has(name);

  private turn(): void {
    must("#from-device").hidden = this.importing;
    must("#from-address").hidden = !this.importing;
    must("#send").textContent = this.importing ? "Import" : "Upload";
    this.refuse("");
  }

  private choose(files: File[]): void {
    const choice = ++this.choices;
    this.examined = this.examine(files, choice).catch((e: Error) => this.refuse(e.message));
  }

  private async examine(files: File[], choice: number): Promise<void> {
    const objections = await Promise.all(files.map((f) => this.objectionTo(f)));
    if (choice !== this.choices) return; // chosen anew meanwhile
    this.chosen = files.filter((_, i) => objections[i] === "");
    this.refusal = objections.filter((o) => o !== "").join(" ");
    this.refuse(this.refusal);
    if (!this.sending) this.present(files);
    if (this.chosen.length) await this.onChosen(this.chosen);
  }

  private present(files: File[]): void {
    const [file] = this.chosen;
    if (file) this.suggest(file);
    this.display(file ?? null, files[0]);
  }

  /** Shows a file: its picture, or only what is said of one that can't be sent. */
  display(file: File | null, refused?: File): void {
    if (file && file === this.displayed) return;
    this.displayed = file;
    const named = file ?? refused;
    must("#drop").classList.toggle("filled", named !== undefined);
    say(must("#facts"), named ? this.facts(named, "") : "");
    say(must("#advice"), "");
    this.show(file);
  }

  private facts(file: File, picture: string): string {
    const others = this.chosen.length - 1;
    const after = others > 0 && !this.sending ? ` · ${others} more, sent one after the other, titled by their names` : "";
    return `${file.name} · ${picture}${size(file.size)}${after}`;
  }

  private async objectionTo(file: File): Promise<string> {
    if (file.size === 0) return `${file.name} is empty.`;
    if (file.size > this.limits.bytes) return this.tooLarge(file);
    const picture = await stillPicture(file);
    return picture && `This is a still picture (${picture}), not a video: ${file.name}. Nothing of it was sent.`;
  }

  private tooLarge(file: File): string {
    const near = size(file.size) === size(this.limits.bytes);
    const [has, most] = [file.size, this.limits.bytes].map((n) => (near ? `${n} bytes` : size(n)));
    return `${file.name} has ${has}; at most ${most} are allowed. Nothing of it was sent. Export it smaller, or cut it, and choose it again.`;
  }

  /** Plays the file from this device, which also tells its size and length. */
  private show(file: File | null): void {
    URL.revokeObjectURL(this.preview.src);
    this.preview.removeAttribute("src");
    this.preview.hidden = true;
    if (!file) return;
    this.preview.onloadedmetadata = () => {
      this.preview.hidden = false;
      this.advise(file);
    };
    this.preview.src = `${URL.createObjectURL(file)}#t=0.1`; // a browser that can't play it says nothing: the server may
  }

  /** Says what the server would find out later. It decides; this saves an upload. */
  private advise(file: File): void {
    const { videoWidth: width, videoHeight: height, duration } = this.preview;
    const warnings: string[] = [];
    if (width && Math.min(width, height) < recommendedSide)
      warnings.push(`It has ${width} × ${height} pixels. At least ${recommendedSide} on the shorter side look better.`);
    if (duration > this.limits.seconds)
      warnings.push(`It lasts ${length(duration)}. Videos of more than ${length(this.limits.seconds)} are refused after the upload.`);
    const picture = width ? `${width} × ${height} · ` : "";
    say(must("#facts"), this.facts(file, `${picture}${length(duration)} · `));
    say(must("#advice"), warnings.join(" "));
  }

  /** A file's name is a start for the title, for its author to see and to change. */
  private suggest(file: File): void {
    const title = must<HTMLInputElement>("#title");
    if (title.value !== "" && title.value !== this.suggested) return;
    title.value = this.suggested = titleOf(file);
  }
}

function clearInvalid(field: HTMLElement): void {
  field.removeAttribute("aria-invalid");
  if (field.dataset.described) field.setAttribute("aria-describedby", field.dataset.described);
  else field.removeAttribute("aria-describedby");
}

/** A file's name without its ending, and without the characters that no title may have. */
const titleOf = (file: File) =>
  file.name.replace(/\.[^.]*$/, "").replace(/[\p{Cc}\u2028-\u202e\u2066-\u2069]/gu, "").replaceAll("_", " ").slice(0, 200);

const words = (text: string) => text.split(/[\s,]+/).filter((w) => w !== "" && w !== "#");
