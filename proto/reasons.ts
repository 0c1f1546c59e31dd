// Every reason that a Camera's conditions may carry, with what a person should do about it. The sidecar says what happened; this
// says what to do. docs/operator.md is made from it.

export type Reason = {
  /** What it means, where the sidecar doesn't say what happened. */
  meaning: string
  /** What to do; empty where there is nothing to do, or where the sidecar's own words say it. */
  todo: string
}

const wait = 'It is tried again by itself.'
const reach = 'Check the address in spec.source.url, the camera’s power and network, and that the node may reach it.'
const report = 'See the log of the camera’s pod.'

export const REASONS = {
  // All is well, or as asked.
  Streaming: { meaning: 'The camera’s packets arrive.', todo: '' },
  Decoding: { meaning: 'Frames are being made for clients.', todo: '' },
  NoDemand: { meaning: 'No client asks for frames, so none are made.', todo: '' },
  Forwarding: { meaning: 'The stream is being passed on.', todo: '' },
  SwitchedOff: { meaning: 'Passing on is switched off.', todo: '' },
  Recording: { meaning: 'The stream is being written to the archive.', todo: '' },
  NotConfigured: { meaning: 'The spec does not ask for it.', todo: '' },
  Suspended: { meaning: 'The camera is stopped, as spec.suspend asks.', todo: 'Set it to false to start the camera.' },
  Uninstalled: { meaning: 'Chrysalis Edge was uninstalled: nothing runs for the camera.', todo: 'Install it again, or delete the Camera.' },
  Deleting: { meaning: 'The Camera is being deleted, and what it left in NATS is being removed.', todo: '' },

  // On its way.
  PodPending: { meaning: 'The pod has not started yet.', todo: '' },
  ContainerCreating: { meaning: 'The node prepares the pod.', todo: 'If this lasts, see the events of the pod.' },
  Terminating: {
    meaning: 'The old pod has to end before the new one starts.',
    todo: 'If this lasts, its node is lost: remove the node from the cluster, or the pod with --force.',
  },
  Starting: { meaning: 'The pod runs and has not said anything yet.', todo: '' },
  Connecting: { meaning: 'The camera is being connected to.', todo: '' },
  NotConnected: { meaning: 'The camera is not connected.', todo: 'See condition Connected.' },
  WaitingForLease: { meaning: 'Another pod of this camera still holds the connection.', todo: wait },

  // The camera.
  HostNotFound: { meaning: 'The camera’s host name does not resolve.', todo: 'Correct the host in spec.source.url, or the DNS.' },
  HostUnreachable: { meaning: 'The network has no way to the camera.', todo: reach },
  AddressDenied: {
    meaning: 'The address is among those that cameras may not have.',
    todo: 'Use the camera’s own address, or ask the administrator to allow it.',
  },
  ConnectionRefused: { meaning: 'Nothing listens at the camera’s address and port.', todo: reach },
  ConnectTimeout: { meaning: 'The camera does not answer.', todo: reach },
  ConnectFailed: { meaning: 'The camera could not be connected to.', todo: reach },
  ConnectionLost: { meaning: 'The connection broke.', todo: wait },
  StreamEnded: { meaning: 'The camera ended the stream.', todo: wait },
  StreamStalled: { meaning: 'The camera is connected but sends nothing.', todo: 'Restart the camera if this lasts.' },
  AuthFailed: {
    meaning: 'The camera refuses the user name or password.',
    todo: 'Correct the keys username and password of the Secret that spec.source.credentialsSecretRef names; no restart is needed.',
  },
  NotFound: { meaning: 'The camera has no such stream.', todo: 'Correct the path in spec.source.url.' },
  RedirectRefused: {
    meaning: 'The camera redirects elsewhere, or its playlist leads to another protocol, which is refused.',
    todo: 'Put the address it redirects to into spec.source.url; a playlist may name http and https only.',
  },
  ProtocolRefused: { meaning: 'The camera does not speak this protocol.', todo: 'Correct the scheme or spec.source.transport.' },
  InvalidStream: { meaning: 'What answers is no video stream.', todo: 'Correct the scheme, port and path in spec.source.url.' },
  TransportUnsupported: { meaning: 'The camera refuses this transport: try the other of tcp and udp in spec.source.transport.', todo: '' },
  RequestRefused: { meaning: 'The camera refuses the request.', todo: 'Correct the path in spec.source.url.' },
  ServerError: { meaning: 'The camera answers with an error of its own.', todo: 'Restart the camera if this lasts.' },
  NoKeyframe: { meaning: 'The camera sends no keyframes: set a shorter keyframe interval in its settings.', todo: '' },
  NoVideoTrack: { meaning: 'The stream has no video.', todo: 'Correct the path in spec.source.url, or enable video in the camera.' },
  CodecUnsupported: { meaning: 'The camera’s codec is not supported: set it to H.264, H.265 or MJPEG.', todo: '' },
  NoDecodableFrames: {
    meaning: 'Data arrives, but no picture can be made of it.',
    todo: 'Check the camera’s encoder settings: key frames every few seconds, H.264, H.265 or MJPEG.',
  },
  ResolutionTooLarge: { meaning: 'The picture is larger than 40 megapixels.', todo: 'Set the camera to a smaller size.' },
  CredentialsChanged: { meaning: 'The credentials changed, and the camera is connected to anew.', todo: '' },
  Paced: { meaning: 'The source is no live stream by itself, and is read at its own pace.', todo: '' },
  NoTimestamps: { meaning: 'The source has no timestamps, and is given those of the clock.', todo: '' },
  SecretNotFound: {
    meaning: 'The Secret that the spec names is not there.',
    todo: 'It belongs into the Camera’s namespace; no restart is needed.',
  },
  SecretKeyMissing: { meaning: 'The Secret lacks a key.', todo: 'Add the key to the Secret; no restart is needed.' },

  // Decoding in a gateway.
  DecodersBusy: {
    meaning: 'The gateway decodes as many cameras as it may.',
    todo: 'Raise the gateway’s CHRYS_DECODERS_MAX (gateway.decodersMax in the chart), or set spec.decoding.placement to Auto.',
  },
  NoPackets: {
    meaning: 'The camera’s packets do not reach the gateway that is to decode them.',
    todo: 'Check that the gateway may subscribe to chrys.packets, or set spec.decoding.placement to Sidecar.',
  },

  // Buffer, proxy, archive.
  BufferQuotaExceeded: {
    meaning: 'NATS has no room for this camera’s buffer.',
    todo: 'Lower spec.buffer.maxBytes, or raise NATS’ limit.',
  },
  BufferUnavailable: {
    meaning: 'NATS is away, or the operator, which makes the camera’s stream: nothing is buffered.',
    todo: 'Check that NATS and the operator run.',
  },
  ProxyConnecting: { meaning: 'The RTMP server is being connected to.', todo: '' },
  ProxyTargetMissing: {
    meaning: 'The Secret that spec.proxy.urlSecretRef names is not there, or lacks the key.',
    todo: 'No restart is needed.',
  },
  ProxyTargetInvalid: {
    meaning: 'The Secret holds no RTMP URL.',
    todo: 'Correct it to one such as rtmp://host/app/key; no restart is needed.',
  },
  ProxyHostNotFound: { meaning: 'The RTMP server’s host name does not resolve.', todo: 'Correct the URL in the Secret, or the DNS.' },
  ProxyHostUnreachable: { meaning: 'The network has no way to the RTMP server.', todo: 'Check the network, and the URL in the Secret.' },
  ProxyAddressDenied: { meaning: 'The RTMP server’s address is among those that the address policy excludes.', todo: '' },
  ProxyConnectionRefused: {
    meaning: 'Nothing listens at the RTMP server’s address.',
    todo: 'Check the URL in the Secret, and the RTMP server.',
  },
  ProxyConnectTimeout: { meaning: 'The RTMP server does not answer.', todo: 'Check the URL in the Secret, and the RTMP server.' },
  ProxyCertificateInvalid: { meaning: 'The RTMP server’s certificate is not valid for its name.', todo: '' },
  ProxyRefused: {
    meaning: 'The RTMP server refuses the stream.',
    todo: 'Check the stream key in the Secret’s URL, and that nobody else uses it.',
  },
  ProxyCodecUnsupported: { meaning: 'RTMP does not carry the camera’s codec.', todo: '' },
  ProxyFailed: { meaning: 'The RTMP server does not take the stream.', todo: 'Check the URL in the Secret, and the RTMP server.' },
  ArchiveDiskFull: { meaning: 'The archive’s volume is full.', todo: 'Writing goes on as soon as there is room.' },
  ArchiveUnwritable: { meaning: 'The archive’s folder can’t be written to.', todo: 'In a pod that is user 65532.' },
  ArchiveFailed: { meaning: 'The archive could not be written.', todo: 'Check the volume, and that user 65532 may write to it.' },
  NotReported: { meaning: 'The pod has not said whether this works.', todo: '' },

  // The pod.
  NodeRejectedPod: {
    meaning: 'The node refused or evicted the pod.',
    todo: 'See the message for what the node lacks; failed pods are removed, and the next try comes after a growing wait.',
  },
  PodRefused: {
    meaning: 'The cluster’s policy refuses the pod: Pod Security, quota or an admission webhook.',
    todo: 'Change spec.pod or spec.archive.volume, or the namespace’s policy.',
  },
  DeploymentRefused: {
    meaning: 'The API server refuses the Deployment.',
    todo: 'Correct spec.pod, or the namespace’s quota or policy.',
  },
  NameTaken: { meaning: 'A Deployment of this name belongs to somebody else.', todo: 'Rename it, or the Camera.' },
  Unschedulable: {
    meaning: 'No node can take the pod.',
    todo: 'Change spec.pod (resources, nodeSelector, tolerations, affinity), or the nodes.',
  },
  ImagePullBackOff: {
    meaning: 'The image cannot be pulled.',
    todo: 'Correct spec.pod.image or the operator’s image, or give the node access to the registry.',
  },
  InvalidImageName: { meaning: 'The image’s name is malformed.', todo: 'Correct spec.pod.image.' },
  CreateContainerConfigError: { meaning: 'The container cannot be configured.', todo: 'See the events of the pod.' },
  CreateContainerError: { meaning: 'The container cannot be made.', todo: 'See the events of the pod.' },
  RunContainerError: { meaning: 'The container cannot be started.', todo: 'See the events of the pod.' },
  OOMKilled: { meaning: 'The container needed more memory than its limit.', todo: 'Raise spec.pod.resources.limits.memory.' },
  CrashLoop: { meaning: 'The container ends again and again.', todo: report },
  ContainerExited: { meaning: 'The container ended and is being started again.', todo: wait },
  ConfigurationInvalid: { meaning: 'The sidecar refuses its configuration.', todo: report },
  SpawnFailed: { meaning: 'The pod cannot start ffmpeg.', todo: 'Check the image and the node’s limits on processes and open files.' },
  FfmpegKilled: { meaning: 'Something ended ffmpeg.', todo: 'If this repeats, raise spec.pod.resources.limits.memory.' },
  InternalError: { meaning: 'An error nobody foresaw.', todo: report },

  // The operator's own sight.
  SidecarSilent: {
    meaning: 'The pod runs by what its node last said, and has not reported for a while.',
    todo: 'Check that the node is up and that the pod reaches NATS.',
  },
  NatsAway: { meaning: 'The operator cannot reach NATS, so it does not know.', todo: 'Check that NATS runs.' },
} as const satisfies Record<string, Reason>

export type KnownReason = keyof typeof REASONS

/** What happened, and what to do. A reason from a newer sidecar stands without advice. */
export function explain(reason: string, happened?: string): string {
  const known = reason in REASONS ? (REASONS[reason as KnownReason] as Reason) : { meaning: reason, todo: '' }
  const said = happened === undefined || happened === '' ? known.meaning : sentence(happened)
  return [said, known.todo]
    .filter(part => part !== '')
    .join(' ')
    .slice(0, 4096)
}

const sentence = (text: string): string => `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.!?…]$/.test(text) ? '' : '.'}`
