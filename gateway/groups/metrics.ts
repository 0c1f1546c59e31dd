import { Gauge, type Registry } from 'prom-client'
import type { Group } from './group.ts'

export type GroupMetrics = { set(groups: readonly Group[]): void }

/** Of this gateway's members; the sum over gateways is the group's. Groups of several users that have one name count as one. */
export function createGroupMetrics(registry: Registry): GroupMetrics {
  const gauge = (name: string, help: string) => new Gauge({ name, help, labelNames: ['group'] as const, registers: [registry] })
  const wanted = gauge('chrysalis_group_wanted_fps', 'Frames a second of the cameras that the group’s members at this gateway have')
  const taken = gauge('chrysalis_group_taken_fps', 'Frames a second that the group’s members at this gateway take')
  const age = gauge(
    'chrysalis_group_age_seconds',
    'Mean age of the frames that the group’s members at this gateway took in the last second',
  )
  const count = gauge('chrysalis_group_members', 'Members of the group at this gateway')
  return {
    set(groups) {
      for (const each of [wanted, taken, age, count]) each.reset()
      for (const { name: group, members } of groups) {
        for (const { wantedFps, takenFps, ageSeconds } of members.values()) {
          wanted.inc({ group }, wantedFps)
          taken.inc({ group }, takenFps)
          age.inc({ group }, ageSeconds / members.size)
        }
        count.inc({ group }, members.size)
      }
    },
  }
}
