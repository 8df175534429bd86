// The stretches of a timeline that are there: fetched as they come into view, the last ones kept.
import { type Signal, signal } from "@preact/signals";
import { ask, type Failed, failedBy } from "../api";
import type { Params } from "../question";
import { writeLength, writeMoment } from "../span";
import { finer, joined, type Stretch, stretches, type Timeline } from "../timeline";
import type { FlowsAnswer, Note, QueryAnswer, Row } from "../types";

/** Records that are fetched at once; a stretch that has more is looked at closer first. */
export const AT_ONCE = 1_000;
/** Records that one answer has at most. */
const MOST_AT_ONCE = 10_000;
/** Stretches that are kept. */
const KEPT = 20;

const keyOf = ({ since, until }: Stretch) => `${since}-${until}`;

export class Pages {
  readonly timeline: Signal<Timeline>;
  /** Counted up when rows came. */
  readonly came = signal(0);
  readonly failed = signal<Failed | undefined>(undefined);
  readonly notes = signal<Note[]>([]);
  private readonly rows = new Map<string, Row[]>();
  private wanted: AbortController | undefined;
  private wants = "";

  constructor(
    timeline: Timeline,
    /** What the records are asked for by, but for the time. */
    private readonly params: Params,
    private readonly oldestFirst: boolean,
  ) {
    this.timeline = signal(timeline);
  }

  /** A row, if it is there. */
  row(number: number): Row | undefined {
    const place = this.timeline.value.find(number);
    const part = place && this.timeline.value.parts[place.at];
    return place && part ? this.rows.get(keyOf(part))?.[place.offset] : undefined;
  }

  /** Stretches that are there, and their rows. */
  get kept(): number {
    return this.rows.size;
  }

  /** Sees to it that these rows are there; what was wanted before is not, any more. */
  async want(from: number, to: number): Promise<void> {
    const at = this.missing(from, to);
    const part = at === undefined ? undefined : this.timeline.peek().parts[at];
    const wants = part ? keyOf(part) : "";
    if (wants === this.wants && this.wanted) return;
    this.wanted?.abort();
    this.wanted = undefined;
    this.wants = wants;
    if (at === undefined || !part) return;
    const stop = new AbortController();
    this.wanted = stop;
    try {
      await this.fetch(at, part, stop.signal);
      this.failed.value = undefined;
    } catch (error) {
      if (stop.signal.aborted) return;
      this.failed.value = failedBy(error);
      return;
    } finally {
      if (this.wanted === stop) this.wanted = undefined;
    }
    await this.want(from, to);
  }

  /** Forgets why nothing came, and asks again. */
  retry(from: number, to: number): void {
    this.failed.value = undefined;
    this.wants = "";
    void this.want(from, to);
  }

  stop(): void {
    this.wanted?.abort();
  }

  /** The first stretch of these rows that is not there. */
  private missing(from: number, to: number): number | undefined {
    const timeline = this.timeline.peek();
    const [first, last] = [timeline.find(Math.max(0, from)), timeline.find(Math.min(timeline.total - 1, to))];
    if (!first || !last) return undefined;
    for (let at = first.at; at <= last.at; at += 1) {
      const part = timeline.parts[at];
      if (part && !this.rows.has(keyOf(part))) return at;
    }
    return undefined;
  }

  private async fetch(at: number, part: Stretch, signal: AbortSignal): Promise<void> {
    const bucket = part.count > AT_ONCE ? finer(part, AT_ONCE) : undefined;
    if (bucket !== undefined) return this.look(at, part, bucket, signal);
    const rows = await this.all(part, signal);
    if (this.timeline.peek().parts[at] !== part) return;
    if (rows.length === part.count) return this.keep(part, rows);
    // Records came or went since they were counted: what is there is what counts.
    const counted = { ...part, count: rows.length };
    this.timeline.value = this.timeline.peek().with(at, rows.length === 0 ? [] : [counted]);
    if (rows.length > 0) this.keep(counted, rows);
  }

  /** Counts the parts of a stretch that is too long to be fetched at once. */
  private async look(at: number, part: Stretch, bucket: number, signal: AbortSignal): Promise<void> {
    const params = { ...this.params, columns: undefined, order: undefined, limit: undefined };
    const range = { since: writeMoment(part.since), until: writeMoment(part.until) };
    const counts = { ...params, ...range, measures: ["flows"], by: "flows", top: 1, bucket: writeLength(bucket) };
    const { rows } = await ask<QueryAnswer>("query", counts, signal);
    if (this.timeline.peek().parts[at] !== part) return;
    const closer = joined(stretches(rows, part, bucket, this.oldestFirst), AT_ONCE);
    this.timeline.value = this.timeline.peek().with(at, closer);
  }

  private async all(part: Stretch, signal: AbortSignal): Promise<Row[]> {
    const range = { since: writeMoment(part.since), until: writeMoment(part.until) };
    const limit = Math.min(MOST_AT_ONCE, Math.max(AT_ONCE, part.count));
    let rows: Row[] = [];
    for (let cursor: string | undefined = ""; cursor !== undefined; ) {
      const page: FlowsAnswer = await ask<FlowsAnswer>("flows", { ...this.params, ...range, limit, cursor }, signal);
      rows = rows.concat(page.rows);
      this.notes.value = page.notes.filter(({ kind }) => kind !== "truncated");
      cursor = page.cursor ?? undefined;
    }
    return rows;
  }

  private keep(part: Stretch, rows: Row[]): void {
    this.rows.set(keyOf(part), rows);
    const oldest = this.rows.keys().next().value;
    if (this.rows.size > KEPT && oldest !== undefined) this.rows.delete(oldest);
    this.came.value += 1;
  }
}
