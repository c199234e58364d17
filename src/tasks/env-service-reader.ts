import type { Task } from "../agent/task.js";
import type { TaskReader, TaskSplit } from "../agent/task-reader.js";
import { EnvServiceClient, type EnvServiceSettings } from "../env/env-service-client.js";
import { ConfigError } from "../native/errors.js";
import { withUniqueIds } from "./task-record.js";

/** Tasks that an environment service names. What they are, the service says when an episode begins. */
export class EnvServiceTaskReader implements TaskReader {
  /** @param splits The service's split for each of ours. */
  constructor(
    private readonly settings: EnvServiceSettings,
    private readonly splits: Partial<Record<TaskSplit, string | null>>,
  ) {}

  async read(split: TaskSplit): Promise<Task[]> {
    const wanted = this.splits[split];
    if (wanted === undefined || wanted === null) {
      throw new ConfigError(`Expected the name of a split in \`task_reader.env_service.${split}_split\``);
    }
    const ids = await new EnvServiceClient(this.settings).taskIds(wanted);
    if (ids.length === 0) throw new ConfigError(`${this.settings.env_url} has no tasks in its split ${wanted}`);
    const { env_type: envType } = this.settings;
    return withUniqueIds(
      ids.map((id) => ({
        taskId: id,
        mainQuery: `Task ${id} of the environment ${envType}`,
        initMessages: [],
        envType,
        metadata: { env_task_id: id },
      })),
    );
  }
}
