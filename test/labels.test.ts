// Label selectors, as Kubernetes reads them: the cases of apimachinery's pkg/labels/selector_test.go that have these operators.
import test from 'ava'
import * as v from 'valibot'
import { cameraRecord } from '../common/camera-record.ts'
import { BadSelector, boundedLabels, LABELS_MAX, parseSelector } from '../proto/labels.ts'
import { CameraRecord } from '../proto/state.ts'
import { watchedCamera } from './fixtures/camera-objects.ts'

const LABELS = { foo: 'bar', baz: 'blah', empty: '', 'example.com/site': 'shop-1', in: 'x' }

for (const selector of [
  '',
  '  ',
  'foo=bar',
  'foo==bar',
  'foo = bar , baz=blah',
  'foo!=bang',
  'missing!=x',
  'foo',
  '!missing',
  '! missing',
  'foo in (bar)',
  'foo in ( x , bar )',
  'foo notin (x,y)',
  'missing notin (x)',
  'baz=blah,foo in (bar,quux),!missing',
  'empty=',
  'empty==,foo=bar',
  'empty in (,a)',
  'empty in ()',
  'example.com/site=shop-1',
  'in in (x)',
]) {
  test(`"${selector}" matches`, t => t.true(parseSelector(selector)(LABELS)))
}

for (const selector of [
  'foo=',
  'foo=baz',
  'foo!=bar',
  'missing',
  'missing=',
  '!foo',
  'foo in (a,b)',
  'missing in (a)',
  'missing in ()',
  'foo notin (bar,x)',
  'foo=bar,baz=x',
  'constructor',
]) {
  test(`"${selector}" does not match`, t => t.false(parseSelector(selector)(LABELS)))
}

for (const [selector, message] of [
  [',', 'needs a label key at 1, where "," stands'],
  ['a,', 'needs a label key at its end'],
  ['a,,b', 'needs a label key at 3, where "," stands'],
  ['!', 'needs a label key at its end'],
  ['!!a', 'needs a label key at 2, where "!" stands'],
  ['=b', 'needs a label key at 1, where "=" stands'],
  ['a=b=c', 'needs "," at 4, where "=" stands'],
  ['a b', 'needs one of "=", "==", "!=", "in", "notin" or "," at 3, where "b" stands'],
  ['a in b', 'needs "(" at 6, where "b" stands'],
  ['a in (b', 'needs ")" at its end'],
  ['a in (b c)', 'needs ")" at 9, where "c" stands'],
  ['!a=b', 'needs "," at 3, where "=" stands'],
  ['-a', 'has "-a" at 1, which is not a label key'],
  ['a/b/c', 'has "a/b/c" at 1, which is not a label key'],
  ['a=b/c', 'has "b/c" at 3, which is not a label value'],
  [`a=${'b'.repeat(64)}`, `has "${'b'.repeat(64)}" at 3, which is not a label value`],
  ['a>5', 'has "a>5" at 1, which is not a label key'],
  ['a'.repeat(4_097), 'has 4097 characters, at most 4096 are allowed'],
] as const) {
  test(`"${selector.slice(0, 20)}" is refused: ${message.slice(0, 60)}`, t => {
    t.throws(() => parseSelector(selector), { instanceOf: BadSelector, message })
  })
}

test('a Camera’s labels are in its record, valid ones only and no more than a record may have', t => {
  const pod = { running: true, dead: false, exitCode: 0, oomKilled: false, restarts: 0 }
  const { metadata, ...rest } = watchedCamera()
  const recordOf = (labels: Record<string, string>) => cameraRecord({ ...rest, metadata: { ...metadata, labels } }, pod)
  t.deepEqual(recordOf({ site: 'shop', '-bad': 'x', worse: 'a b' }).labels, { site: 'shop' })
  t.false('labels' in cameraRecord(watchedCamera(), pod))
  const many = Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`l${i}`, 'x']))
  t.is(Object.keys(boundedLabels(many)).length, LABELS_MAX)
  t.true(v.is(CameraRecord, recordOf(many)))
  t.false(v.is(CameraRecord, { ...recordOf({}), labels: many }))
  t.false(v.is(CameraRecord, { ...recordOf({}), labels: { 'not a key': '' } }))
})
