// The cluster's flow export: whether it is on, where not and what to do, what it costs, what was
// changed, and what a change would do. Nothing is written: whoever may takes the command along.

import { standings } from "../exports";
import { Answer } from "../parts/Answer";
import { Condition, Missing } from "../parts/Conditions";
import { ExportChanges } from "../parts/ExportChanges";
import { ExportNodes } from "../parts/ExportNodes";
import { Prepare } from "../parts/ExportPlan";
import { me, useAsk } from "../state";
import type { ExportsAnswer, RolloutState, SourceState } from "../types";
import { EXPORT } from "../words";

export function Export() {
  const cluster = me.value?.cluster ?? false;
  const answer = useAsk<ExportsAnswer>("exports", cluster ? {} : undefined);
  if (!cluster) return <NoCluster />;
  return (
    <Answer of={answer}>
      {({ source, rollout, nodes, profiles, hidden, unread }) => (
        <>
          <section aria-label={EXPORT.state}>
            {source && <Source source={source} />}
            {nodes && <Counts counts={standings(nodes)} all={nodes.length} />}
            {rollout && <Rollout rollout={rollout} />}
            <Missing hidden={hidden} unread={unread} />
          </section>
          {nodes && <ExportNodes nodes={nodes} />}
          <ExportChanges />
          {source && nodes && hidden.length === 0 && <Prepare source={source} profiles={profiles} />}
        </>
      )}
    </Answer>
  );
}

/** Where nothing says how export is asked for. */
function NoCluster() {
  return (
    <div class="answer">
      <div class="empty">
        <p>{EXPORT.noCluster}</p>
        <p>
          {EXPORT.onAHost} <code>weir status --network FILE</code>, <code>weir cost --data-dir DIR</code>.
        </p>
      </div>
    </div>
  );
}

function Source({ source }: { source: SourceState }) {
  const { kind, collectors, conditions } = source;
  return (
    <>
      <p>
        {kind} cluster {EXPORT.asksFor}{" "}
        {collectors.length === 0
          ? EXPORT.nothing
          : collectors.map(({ protocol, collector }, at) => (
              <span key={`${protocol} ${collector}`}>
                {at > 0 && ", "}
                {protocol} {EXPORT.to} <code>{collector}</code>
              </span>
            ))}
        .
      </p>
      {conditions.length === 0 ? (
        <p class="trouble">{EXPORT.notRead}</p>
      ) : (
        <ul class="conditions" aria-label={EXPORT.conditions}>
          {conditions.map((condition) => (
            <Condition key={condition.type} condition={condition} />
          ))}
        </ul>
      )}
    </>
  );
}

function Counts({ counts, all }: { counts: ReturnType<typeof standings>; all: number }) {
  const figures: Array<[string, number]> = [
    [EXPORT.exportingOf, counts.exporting],
    [EXPORT.behind, counts.behind],
    [EXPORT.fails, counts.fails],
    [EXPORT.off, counts.off],
    [EXPORT.none, counts.none],
  ];
  return (
    <dl class="figures">
      {figures.map(([name, count], at) =>
        count > 0 || at === 0 ? (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{at === 0 ? `${count} of ${all}` : count}</dd>
          </div>
        ) : null,
      )}
    </dl>
  );
}

function Rollout({ rollout }: { rollout: RolloutState }) {
  const { phase, step, released_nodes, total_nodes, told, awaits_approval } = rollout;
  return (
    <div>
      <p>
        {EXPORT.rollout}: <strong>{phase}</strong>
        {step > 0 && `, ${EXPORT.step} ${step}`}, {released_nodes} of {total_nodes} {EXPORT.nodesHaveIt}.
      </p>
      {told.map((line) => (
        <p class="quiet" key={line}>
          {line}
        </p>
      ))}
      {awaits_approval && (
        <p class="trouble">
          {EXPORT.awaits} <code>weir rollout approve</code>
        </p>
      )}
    </div>
  );
}
