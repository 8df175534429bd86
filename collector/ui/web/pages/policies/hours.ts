// The hours of the traffic that an answer rests on, as people read them.
import { time } from "../../format";
import { utc } from "../../state";

export const hoursOf = ({ since, until }: { since: string; until: string }): string =>
  `whole hours from ${time(since, utc.value)} to ${time(until, utc.value)}`;
