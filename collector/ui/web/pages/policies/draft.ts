// The policies that are written or pasted: kept while the page is open, not in its address,
// which they do not fit into.
import { signal } from "@preact/signals";

export const draft = signal("");
