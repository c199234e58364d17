import { afterAll } from "vitest";
import { RunLlm } from "../../../src/judges/llm/run-llm.js";
import { gradeByRule, LocalEndpoint } from "./local-endpoint.js";

/** An endpoint that grades by rule, what asks it, and the configuration of a judge; all until the test file ends. */
export async function startGrader() {
  const endpoint = await LocalEndpoint.start(gradeByRule);
  const llm = new RunLlm(endpoint.settings());
  afterAll(async () => {
    llm.close();
    await endpoint.stop();
  });
  return { endpoint, llm, config: { task_judge: { alien_llm_model: "judge", alien_llm_api_key_env: null } } };
}
