/**
 * The child process that holds the user's own `swanlab` or `wandb` package. Commands come as JSON lines on descriptor 3, answers
 * leave on 4; what the packages print goes to a file. Id and place (see contract.ts) of the last record are written once the
 * package has finished, and so has everything: before that it holds an unknown part of it. Where Node is gone, descriptor 3 ends,
 * and the package finishes all the same. The lock makes a resumed run's process wait for that.
 */
export const PYTHON_BRIDGE = String.raw`
import fcntl, json, os, sys, threading

class SwanLab:
    def open(self, run):
        if run["host"]:
            os.environ["SWANLAB_API_HOST"] = run["host"].rstrip("/") + "/api"
            os.environ["SWANLAB_WEB_HOST"] = run["host"].rstrip("/")
        import swanlab
        self.swanlab = swanlab
        opened = swanlab.init(
            project=run["project"], experiment_name=run["name"], config=run["config"], logdir=run["folder"],
            id=run["id"], resume="allow", **given(mode=run["mode"], workspace=run["workspace"]))
        try:
            return opened.url
        except Exception:  # none without a server, and older packages have none at all
            return run["folder"]

    def log(self, values, step):
        self.swanlab.log(values, step=step)

    def finish(self, outcome):
        state = {"finished": "success", "stopped": "aborted", "failed": "crashed"}[outcome]
        try:
            self.swanlab.finish(state=state, error="the run failed" if state == "crashed" else None)
        except Exception:  # older packages have other states
            self.swanlab.finish()


class Wandb:
    def open(self, run):
        if run["host"]:
            os.environ["WANDB_BASE_URL"] = run["host"]
        import wandb
        self.run = wandb.init(
            project=run["project"], name=run["name"], config=run["config"], dir=run["folder"],
            id=run["id"], resume="allow", settings=wandb.Settings(console="off"),
            **given(mode=run["mode"], entity=run["workspace"]))
        return self.run.url or run["folder"]

    def log(self, values, step):
        self.run.log(values, step=step)

    def finish(self, outcome):
        self.run.finish(exit_code=0 if outcome == "finished" else 1)


def given(**options):
    return {name: value for name, value in options.items() if value is not None}


class Memory:
    def __init__(self, path, new_id):
        self.file = open(path, "a+", encoding="utf-8")
        fcntl.flock(self.file, fcntl.LOCK_EX)
        self.file.seek(0)
        try:
            state = json.load(self.file)
        except ValueError:
            state = {"id": new_id, "holds": -1}
        self.id, self.holds = state["id"], state["holds"]

    def write(self):
        self.file.truncate(0)
        json.dump({"id": self.id, "holds": self.holds}, self.file)
        self.file.flush()


def main():
    commands = os.fdopen(3, encoding="utf-8")
    answers = os.fdopen(4, "w", encoding="utf-8", buffering=1)
    for descriptor in (3, 4):
        os.set_inheritable(descriptor, False)
    tracker = {"swanlab": SwanLab, "wandb": Wandb}[sys.argv[1]]()

    def answer(**fields):
        try:
            answers.write(json.dumps(fields) + "\n")
        except BrokenPipeError:
            pass

    try:
        run = json.loads(commands.readline())["open"]
        memory = Memory(run["memory"], run["id"])
        where = tracker.open({**run, "id": memory.id})
        memory.write()
        answer(where=str(where), holds=memory.holds)
        last, outcome = memory.holds, None
        for line in commands:
            command = json.loads(line)
            if "finish" in command:
                outcome = command["finish"]
                break
            tracker.log(command["values"], command["step"])
            last = command["position"]
            answer(logged=last)
        if outcome is None:  # Node is gone, and with it who would end an endless finish
            watchdog = threading.Timer(run["limit"], os._exit, [1])
            watchdog.daemon = True
            watchdog.start()
        tracker.finish(outcome or "failed")
        memory.holds = last
        memory.write()
        answer(finished=True)
    except BaseException as error:
        answer(error=f"{type(error).__name__}: {error}")
        raise


main()
`;
