/**
 * Task management functions (RFC 7143, 11.5; SAM-5, 7): which tasks they end, and what is answered.
 *
 * Always holds: the answer comes when the device server has let go of every task concerned, so nothing that was aborted
 * still has an effect. Other initiators' tasks are answered TASK ABORTED.
 */
import {
  lunNumber,
  serialDistance,
  TaskFunction,
  TaskFunctionResponse,
  type TaskManagementRequestPdu,
} from "../../wire/iscsi/mod.ts";
import type { CommandWindow } from "./command-window.ts";
import { type ScsiNexus, ScsiStatus, type ScsiTarget } from "./scsi-target.ts";
import type { SessionEntry } from "./session-table.ts";
import type { Task } from "./task.ts";
import type { TaskSet } from "./task-set.ts";

export interface ManagementWorld {
  readonly nexus: ScsiNexus;
  readonly scsi: ScsiTarget;
  readonly tasks: TaskSet;
  readonly window: CommandWindow;
  /** All sessions of the target, this one among them. */
  readonly sessions: () => readonly SessionEntry[];
}

/** Does what is asked; resolves with the response. */
export async function manageTasks(
  request: TaskManagementRequestPdu,
  world: ManagementWorld,
): Promise<number> {
  const lun = lunNumber(request.lunHigh, request.lunLow);
  switch (request.function) {
    case TaskFunction.abortTask:
      return await abortTask(request, world);
    case TaskFunction.abortTaskSet:
      await world.tasks.abort((task) => isOfLun(task, request));
      return TaskFunctionResponse.complete;
    case TaskFunction.clearTaskSet:
      await abortEverywhere(world, (task) => isOfLun(task, request));
      return TaskFunctionResponse.complete;
    case TaskFunction.logicalUnitReset:
      if (lun === undefined) return TaskFunctionResponse.lunDoesNotExist;
      await abortEverywhere(world, (task) => isOfLun(task, request));
      await world.scsi.reset(world.nexus, lun);
      return TaskFunctionResponse.complete;
    case TaskFunction.targetWarmReset:
    case TaskFunction.targetColdReset:
      await abortEverywhere(world, () => true);
      await world.scsi.reset(world.nexus, "all");
      return TaskFunctionResponse.complete;
    case TaskFunction.taskReassign:
      return TaskFunctionResponse.reassignmentNotSupported;
    default:
      return TaskFunctionResponse.notSupported;
  }
}

async function abortTask(request: TaskManagementRequestPdu, world: ManagementWorld): Promise<number> {
  const task = world.tasks.find(request.referencedTaskTag);
  if (task !== undefined) {
    if (!isOfLun(task, request)) return TaskFunctionResponse.taskDoesNotExist;
    await world.tasks.abort((candidate) => candidate === task);
    return TaskFunctionResponse.complete;
  }
  const { referencedCommandNumber, commandNumber } = request;
  const isMissing =
    world.window.admits(referencedCommandNumber) &&
    serialDistance(referencedCommandNumber, commandNumber) > 0;
  if (!isMissing) return TaskFunctionResponse.taskDoesNotExist;
  // The command was lost on its way: its number counts as used (11.5.1).
  world.window.deliver(referencedCommandNumber, () => {});
  return TaskFunctionResponse.complete;
}

async function abortEverywhere(world: ManagementWorld, concerns: (task: Task) => boolean): Promise<void> {
  const reply = { status: ScsiStatus.taskAborted };
  await Promise.all(
    world.sessions().map(async (session) => {
      const tasks = session.work?.tasks;
      if (tasks === undefined) return;
      await (tasks === world.tasks ? tasks.abort(concerns) : tasks.abort(concerns, reply));
    }),
  );
}

function isOfLun(task: Task, request: TaskManagementRequestPdu): boolean {
  return task.pdu.lunHigh === request.lunHigh && task.pdu.lunLow === request.lunLow;
}
