// The frame of all pages: where one is, what is asked, who looks, and the keys.
import { signal } from "@preact/signals";
import { Component, type ComponentChildren, type ComponentType } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { type Failed, failedBy, onChange } from "../api";
import { carried } from "../question";
import { addressOf, again, begin, followLinks, me, open, PAGES, page, preferences, question } from "../state";
import { KEYS, PAGE_ASKS, PAGE_TITLES } from "../words";
import { Failure } from "./Answer";
import { Chips, FilterBox } from "./FilterBox";
import { Login } from "./Login";
import { CopyDialog, Menu, place, said, Voice } from "./Menu";
import { shift, TimePicker } from "./TimePicker";

const started = signal<Failed | undefined>(undefined);
const start = () => {
  started.value = undefined;
  begin().catch((error: unknown) => {
    started.value = failedBy(error);
  });
};
const helps = signal(false);

/** Pages by the key behind `g`. */
const LETTERS: Record<string, string> = {
  o: "overview",
  f: "flows",
  t: "topology",
  m: "matrix",
  s: "sankey",
  n: "nodes",
  e: "export",
  c: "status",
  p: "policies",
  x: "flowmetrics",
};
let behindG = 0;

function onKey(event: KeyboardEvent): void {
  const target = event.target as HTMLElement;
  const writes = target.matches("input, textarea, select") || target.isContentEditable;
  if (
    !preferences.value.keys ||
    writes ||
    event.ctrlKey ||
    event.metaKey ||
    event.altKey ||
    document.querySelector("dialog[open]")
  )
    return;
  const to = LETTERS[event.key];
  if (Date.now() - behindG < 1500 && to && PAGES.includes(to)) {
    behindG = 0;
    open(addressOf(to, carried(question.value)));
  } else {
    behindG = event.key === "g" ? Date.now() : 0;
    switch (event.key) {
      case "/":
        document.getElementById("filter")?.focus();
        break;
      case "t":
        document.getElementById("time")?.click();
        break;
      case "[":
        shift(-0.5);
        break;
      case "]":
        shift(0.5);
        break;
      case "r":
        again();
        break;
      case "?":
        helps.value = true;
        break;
      default:
        return;
    }
  }
  event.preventDefault();
}

export function Shell({ pages }: { pages: Record<string, ComponentType> }) {
  const now = page.value;
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    start();
    // Who looks may see something else: nothing of before is left.
    onChange(() => {
      me.value = undefined;
      start();
    });
    addEventListener("keydown", onKey);
    document.addEventListener("click", followLinks);
  }, []);
  useEffect(() => {
    document.title = `${PAGE_TITLES[now]} · Weir`;
  }, [now]);
  const Page = pages[now];
  return (
    <>
      <a
        class="skip"
        href="#main"
        onClick={(event) => {
          event.preventDefault();
          heading.current?.focus();
        }}
      >
        To the page
      </a>
      <header class="bar">
        <span class="brand">weir</span>
        <FilterBox />
        <TimePicker />
        <Chips />
      </header>
      <div class="body">
        <nav aria-label="Pages">
          <ul>
            {PAGES.map((name) => (
              <li key={name}>
                <a href={addressOf(name, carried(question.value))} aria-current={name === now ? "page" : undefined}>
                  {PAGE_TITLES[name]}
                </a>
              </li>
            ))}
          </ul>
          <Who />
        </nav>
        <main id="main" aria-labelledby="heading">
          <h1 id="heading" tabIndex={-1} ref={heading}>
            {PAGE_TITLES[now]} <small>{PAGE_ASKS[now]}</small>
          </h1>
          {started.value && (
            <>
              <Failure failed={started.value} />
              <button type="button" onClick={start}>
                Begin again
              </button>
            </>
          )}
          {!started.value && me.value && Page && (
            <Whole key={now}>
              <Page />
            </Whole>
          )}
        </main>
      </div>
      <Menu />
      <CopyDialog />
      <Login />
      <Help />
      <Voice />
    </>
  );
}

/** A page that fails says so, and leaves the frame. */
class Whole extends Component<{ children: ComponentChildren }, { failed?: Failed }> {
  override state: { failed?: Failed } = {};
  override componentDidCatch(error: unknown): void {
    this.setState({ failed: failedBy(error) });
  }
  render() {
    return this.state.failed ? <Failure failed={this.state.failed} /> : this.props.children;
  }
}

/** Who looks, and whose flows they see. */
function Who() {
  const popover = useRef<HTMLDivElement>(null);
  const opener = useRef<HTMLButtonElement>(null);
  const known = me.value;
  const scope = !known
    ? ""
    : known.sees_everything
      ? "You see all flows"
      : `You see ${known.namespaces.length} ${known.namespaces.length === 1 ? "namespace" : "namespaces"}`;
  const toggle = () => {
    popover.current?.togglePopover();
    if (opener.current && popover.current) place(popover.current, opener.current.getBoundingClientRect());
  };
  return (
    <div class="who">
      {known && (
        <button type="button" ref={opener} aria-haspopup="dialog" onClick={toggle}>
          {scope}
        </button>
      )}
      <div class="popover" popover="auto" role="dialog" aria-label="Who you are" ref={popover}>
        {known && (
          <p>
            {known.name ? (
              <>
                You are <strong>{known.name}</strong>.
              </>
            ) : (
              "You are on the collector's own host."
            )}{" "}
            {known.sees_everything ? "You see the flows of everybody." : "You see flows that have an end in:"}
          </p>
        )}
        {known && !known.sees_everything && (
          <ul>
            {known.namespaces.map((name) => (
              <li key={name}>{name}</li>
            ))}
          </ul>
        )}
        {known && !known.sees_everything && known.name && (
          <p>
            For more:{" "}
            <code>
              kubectl create rolebinding flows-of-NAMESPACE --clusterrole view --user {known.name} -n NAMESPACE
            </code>
          </p>
        )}
        <p class="quiet">weir-collector {known?.version}</p>
      </div>
      <button
        type="button"
        aria-label={`Colours: ${preferences.value.theme}`}
        title={`Colours: ${preferences.value.theme}`}
        onClick={() => {
          const next = { auto: "light", light: "dark", dark: "auto" } as const;
          preferences.value = { ...preferences.value, theme: next[preferences.value.theme] };
          said.value = `Colours: ${preferences.value.theme}`;
        }}
      >
        ◐
      </button>
      <button
        type="button"
        aria-label="Keys and help"
        title="Keys: ?"
        onClick={() => {
          helps.value = true;
        }}
      >
        ?
      </button>
    </div>
  );
}

function Help() {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    if (helps.value) dialog.current?.showModal();
  }, [helps.value]);
  if (!helps.value) return null;
  return (
    <dialog
      ref={dialog}
      aria-labelledby="help-title"
      onClose={() => {
        helps.value = false;
      }}
    >
      <h2 id="help-title">Keys</h2>
      <dl>
        {KEYS.map(([key, does]) => (
          <div key={key}>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{does}</dd>
          </div>
        ))}
      </dl>
      <label class="check">
        <input
          type="checkbox"
          checked={preferences.value.keys}
          onChange={(event) => {
            preferences.value = { ...preferences.value, keys: event.currentTarget.checked };
          }}
        />{" "}
        Single keys do something
      </label>
      <p>
        The address of a page is its question, in the names of the API: links, requests and <code>weir flows</code> say
        the same.
      </p>
      <p class="quiet">
        Made with Preact and its signals (MIT;{" "}
        <a href="assets/licences.txt" target="_blank" rel="noopener">
          licences
        </a>
        ).
      </p>
      <form method="dialog">
        <button type="submit">Close</button>
      </form>
    </dialog>
  );
}
