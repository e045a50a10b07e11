// The form of /upload: which file or address, and what its author says of it.
import { must, say } from "./dom";
import { length, size } from "./words";

const recommendedSide = 1080; // pixels

export class Form {
  readonly element = must<HTMLFormElement>("#form");
  private readonly input = must<HTMLInputElement>("#file");
  private readonly address = must<HTMLInputElement>("#address");
  private readonly preview = must<HTMLVideoElement>("#preview");
  private readonly limits: { bytes: number; seconds: number };
  private suggested = "";
  private refusal = "";

  constructor(
    page: HTMLElement,
    private readonly onChosen: (file: File) => Promise<void>,
  ) {
    this.limits = { bytes: Number(page.dataset.maxBytes), seconds: Number(page.dataset.maxSeconds) };
    this.input.addEventListener("change", () => this.chosen());
    for (const way of this.element.querySelectorAll("[name=way]")) way.addEventListener("change", () => this.turn());
    this.address.addEventListener("input", () => this.refuse(""));
    this.catchDrops();
    this.turn();
  }

  get importing(): boolean {
    return this.field("way") === "address";
  }

  get file(): File | null {
    return this.input.files?.[0] ?? null;
  }

  /** Why what was chosen can't be sent; empty if it can. */
  get objection(): string {
    if (this.importing) return this.address.value.trim() ? "" : "Write down the address of the video first.";
    return this.file ? this.refusal : "Choose a video first.";
  }

  /** The body of POST /v1/videos. What was left empty is left out. */
  video(): Record<string, unknown> {
    const said = {
      title: this.field("title"),
      caption: this.field("caption"),
      hashtags: words(this.field("hashtags")).map((t) => t.replace(/^#/, "")),
      music: this.field("music"),
      visibility: this.field("visibility"),
      publish_at: this.field("publish_at") && new Date(this.field("publish_at")).toISOString(),
      publish_delay: Number(this.field("publish_delay")) * 60,
      reviewers: words(this.field("reviewers")).map((n) => n.replace(/^@/, "")),
      review: this.checked("review"),
      keep_draft: this.checked("keep_draft"),
      allow_download: this.checked("allow_download"),
      source: this.source(),
    };
    return Object.fromEntries(Object.entries(said).filter(([, v]) => v && !(Array.isArray(v) && !v.length)));
  }

  /** Says what stands in the way, and leads there. */
  refuse(why: string): void {
    say(must("#refusal"), why);
  }

  private source(): unknown {
    if (this.importing) return { url: this.address.value.trim() };
    const file = this.file!;
    return { size: file.size, filename: file.name.slice(-255), content_type: file.type || undefined };
  }

  private field = (name: string) => String(new FormData(this.element).get(name) ?? "").trim();
  private checked = (name: string) => new FormData(this.element).has(name);

  private turn(): void {
    must("#from-device").hidden = this.importing;
    must("#from-address").hidden = !this.importing;
    must("#send").textContent = this.importing ? "Import" : "Upload";
    this.refuse("");
  }

  private chosen(): void {
    const file = this.file;
    this.refuse("");
    must("#drop").classList.toggle("filled", file !== null);
    say(must("#facts"), file ? `${file.name} · ${size(file.size)}` : "");
    say(must("#advice"), "");
    this.show(file);
    this.refusal = file ? this.outright(file) : "";
    this.refuse(this.refusal);
    if (!file || this.refusal) return;
    this.suggest(file);
    void this.onChosen(file);
  }

  private outright(file: File): string {
    if (file.size === 0) return `${file.name} is empty.`;
    if (file.size <= this.limits.bytes) return "";
    const near = size(file.size) === size(this.limits.bytes);
    const [has, most] = [file.size, this.limits.bytes].map((n) => (near ? `${n} bytes` : size(n)));
    return `${file.name} has ${has}; at most ${most} are allowed. Nothing was sent. Export it smaller, or cut it, and choose it again.`;
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
    say(must("#facts"), `${file.name} · ${picture}${length(duration)} · ${size(file.size)}`);
    say(must("#advice"), warnings.join(" "));
  }

  /** A file's name is a start for the title, for its author to see and to change. */
  private suggest(file: File): void {
    const title = must<HTMLInputElement>("#title");
    if (title.value !== "" && title.value !== this.suggested) return;
    title.value = this.suggested = file.name.replace(/\.[^.]*$/, "").replaceAll("_", " ").slice(0, 200);
  }

  private catchDrops(): void {
    const drop = must("#drop");
    drop.addEventListener("dragover", (e) => {
      e.preventDefault();
      drop.classList.add("over");
    });
    drop.addEventListener("dragleave", () => drop.classList.remove("over"));
    drop.addEventListener("drop", (e) => {
      e.preventDefault();
      drop.classList.remove("over");
      if (!e.dataTransfer?.files.length) return;
      this.input.files = e.dataTransfer.files;
      this.chosen();
    });
  }
}

const words = (text: string) => text.split(/[\s,]+/).filter((w) => w !== "" && w !== "#");
