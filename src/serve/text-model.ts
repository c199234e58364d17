import { basename } from "node:path";
import type { Engine } from "../native/engine.js";
import type { Model } from "../native/model.js";
import { type ChatTemplate, loadChatTemplate } from "../text/chat-template.js";
import { loadTokenizer, type Tokenizer } from "../text/tokenizer.js";
import { type TextEngine, textEngine } from "./text-engine.js";

/** A model that is spoken to in text: what `startServer` wants of it. */
export interface TextModel {
  engine: TextEngine;
  tokenizer: Tokenizer;
  chatTemplate: ChatTemplate;
  modelName: string;
}

/** Tokenizer and chat template of a model folder, with the engine that answers. */
export async function loadTextModel(folder: string, model: Model, engine: Engine): Promise<TextModel> {
  const tokenizer = await loadTokenizer(folder, { vocabSize: model.shape.vocabSize });
  return {
    engine: textEngine(engine),
    tokenizer,
    chatTemplate: await loadChatTemplate(folder, tokenizer),
    modelName: basename(folder),
  };
}
