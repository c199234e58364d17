/** Base of every error that ajet throws on purpose. `code` is stable; the message names value and remedy. */
export class AjetError extends Error {
  readonly code: string;
  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
  }
}

/** A bad option, YAML key or command-line argument. Exit code 2. */
export class ConfigError extends AjetError {
  constructor(message: string, options?: ErrorOptions) {
    super("ERR_AJET_CONFIG", message, options);
  }
}

/** The native core refused an argument or failed. */
export class NativeError extends AjetError {
  constructor(message: string, options?: ErrorOptions & { code?: string }) {
    super(options?.code ?? "ERR_AJET_NATIVE", message, options);
  }
}

/** No memory for weights, KV blocks or activations. */
export class OutOfMemoryError extends AjetError {
  constructor(message: string, options?: ErrorOptions) {
    super("ERR_AJET_OUT_OF_MEMORY", message, options);
  }
}

/** The loss or the gradient was NaN or infinite; the weights were not touched. */
export class NumericError extends AjetError {
  constructor(message: string, options?: ErrorOptions) {
    super("ERR_AJET_NUMERIC", message, options);
  }
}

/** A file cannot be read or written, or its content is corrupt. */
export class FileError extends AjetError {
  constructor(message: string, options?: ErrorOptions) {
    super("ERR_AJET_FILE", message, options);
  }
}

/** A server cannot be reached, or does not answer as its protocol says. */
export class NetworkError extends AjetError {
  constructor(message: string, options?: ErrorOptions) {
    super("ERR_AJET_NETWORK", message, options);
  }
}

/** The process whose weights are read has ended, and left nothing that can be served. */
export class WriterGoneError extends AjetError {
  constructor(message: string, options?: ErrorOptions) {
    super("ERR_AJET_WRITER_GONE", message, options);
  }
}

/** The object was disposed of. */
export class DisposedError extends AjetError {
  constructor(message: string, options?: ErrorOptions) {
    super("ERR_AJET_DISPOSED", message, options);
  }
}

/** The caller cancelled. */
export class AbortError extends AjetError {
  constructor(message: string, options?: ErrorOptions) {
    super("ERR_AJET_ABORTED", message, options);
  }
}
