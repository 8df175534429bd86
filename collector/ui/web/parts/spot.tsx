// Where in a table Tab stops: one cell of all. Moving it draws the two rows anew that it leaves
// and enters, and no other.
import { computed, type ReadonlySignal } from "@preact/signals";
import { Component, type ComponentType } from "preact";
import { useMemo } from "preact/hooks";

export type Spot = { row: number; column: number };

/** The spot, within a table of this size. */
export const within = ({ row, column }: Spot, height: number, width: number): Spot => ({
  row: Math.max(0, Math.min(height - 1, row)),
  column: Math.max(0, Math.min(width - 1, column)),
});

/** The column of this row in which the spot is; -1: it is in another row. */
export function useStop(spot: ReadonlySignal<Spot>, row: number, height: number, width: number): number {
  const own = useMemo(
    () =>
      computed(() => {
        const at = within(spot.value, height, width);
        return at.row === row ? at.column : -1;
      }),
    [spot, row, height, width],
  );
  return own.value;
}

/** Drawn anew only where what it is given is something else. */
export function drawnOnce<P extends object>(Part: ComponentType<P>): ComponentType<P> {
  return class Once extends Component<P> {
    override shouldComponentUpdate(next: P): boolean {
      const now = this.props as Record<string, unknown>;
      return Object.entries(next).some(([name, value]) => now[name] !== value);
    }
    render() {
      return <Part {...this.props} />;
    }
  };
}
