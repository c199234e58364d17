/** Token logs that say something wrong under right checksums, as no crash leaves them. */

const WRONG = [-1, 0, 1, 2, 1.5, 1e9, 2 ** 32, 1e300, null, true, "x", "", [], {}, undefined];

/** A copy of a JSON value in which one thing, at any depth, is another or gone. */
export function changedValue(value, next) {
  const copy = structuredClone(value);
  let [holder, key] = [copy, pick(Object.keys(copy), next)];
  while (typeof holder[key] === "object" && holder[key] !== null && next() < 0.8) {
    const keys = Object.keys(holder[key]);
    if (keys.length === 0) break;
    [holder, key] = [holder[key], pick(keys, next)];
  }
  holder[key] = pick(WRONG, next);
  return copy;
}

/**
 * A segment of one step whose index or records are others. The step's places are made to fit, unless `index` changes them.
 * @param format What of the log's format is needed: frames.js and record.js of src/report/token-log.
 * @param change `record` gets the JSON of each record, groups before their episodes, `index` that of the index.
 */
export function withChangedStep(segment, format, { record = (json) => json, index = (json) => json }) {
  const { FrameType, encodeFrame, encodeTrailer, packRecord } = format;
  const payloads = framePayloads(segment, format);
  const json = new format.RecordParts(payloads.pop()).json;
  const frames = [];
  let at = 0;
  let count = 0;
  for (const [block, payload] of payloads.entries()) {
    const records = recordsOf(block, json).map(({ column, i, offset }, n, all) => {
      const end = all[n + 1]?.offset ?? payload.length;
      return { column, i, bytes: repacked(payload.subarray(offset, end), (value) => record(value, count++)) };
    });
    let offset = 0;
    for (const { column, i, bytes } of records) {
      column[i] = offset;
      offset += bytes.length;
    }
    const frame = encodeFrame(FrameType.Block, Buffer.concat(records.map(({ bytes }) => bytes)));
    json.blocks.at[block] = at;
    json.blocks.bytes[block] = frame.length;
    at += frame.length;
    frames.push(frame);
  }
  const episodes = json.episodes.sample.length;
  const last = encodeFrame(FrameType.Step, packRecord(JSON.stringify(index(json)) ?? "null", []));
  return Buffer.concat([
    segment.subarray(0, format.FILE_HEADER_BYTES),
    ...frames,
    last,
    encodeTrailer(last, at, episodes),
  ]);
}

/** Payloads of the blocks, then of the index. */
function framePayloads(
  segment,
  { FILE_HEADER_BYTES, STEP_TRAILER_BYTES, FRAME_HEADER_BYTES, readFrameHeader, decodeFrame },
) {
  const payloads = [];
  for (let offset = FILE_HEADER_BYTES; offset < segment.length - STEP_TRAILER_BYTES; ) {
    const { type, length } = readFrameHeader(segment.subarray(offset, offset + FRAME_HEADER_BYTES));
    payloads.push(decodeFrame(type, segment.subarray(offset, offset + length)));
    offset += length;
  }
  return payloads;
}

/** Where a block's records begin, and which entry of the index says so. */
function recordsOf(block, { groups, episodes }) {
  const of = (columns) =>
    columns.offset.flatMap((offset, i) => (columns.block[i] === block ? [{ column: columns.offset, i, offset }] : []));
  return [...of(groups), ...of(episodes)].sort((a, b) => a.offset - b.offset);
}

function repacked(record, change) {
  const end = 4 + record.readUInt32LE(0);
  const text = Buffer.from(JSON.stringify(change(JSON.parse(record.toString("utf8", 4, end)))) ?? "null");
  const length = Buffer.alloc(4);
  length.writeUInt32LE(text.length);
  return Buffer.concat([length, text, record.subarray(end)]);
}

function pick(list, next) {
  return list[Math.floor(next() * list.length)];
}
