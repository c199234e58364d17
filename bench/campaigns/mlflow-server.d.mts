export class RealMlflow {
  readonly uri: string;
  constructor(python: string, folder: string);
  start(): Promise<void>;
  kill(): Promise<void>;
  series(run: string, names: readonly string[]): Promise<Record<string, [step: number, value: number][]>>;
}
