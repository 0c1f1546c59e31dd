// Every reason that a user can meet: in a Camera's conditions and Events, in ListStreams, in local mode's table, in logs and in the label
// `reason` of metrics. The table in docs/troubleshooting.md is generated from this one.

/**
 * `ok`: as it should be, or on the way there. `transient`: wrong, and retried with a chance of success.
 * `needs-a-person`: wrong, and a retry alone does not help.
 */
export type Severity = 'ok' | 'transient' | 'needs-a-person'

type Entry = {
  /** What happened, where the process that reports it gives no message. */
  meaning: string
  /** What to do; empty where there is nothing to do. */
  advice: string
  severity: Severity
}

const RETRIED = 'No action is needed: it is retried automatically.'
const REACH = 'Check the address in spec.source, the camera’s power and network, and that the node can reach it.'
const RTMP_REACH = 'Check the RTMP server, and the URL in the Secret that spec.proxy.urlSecretRef names.'
const POD_LOG = 'Read the log of the camera’s sidecar.'
const POD_EVENTS = 'Read the events of the camera pod.'
const IF_IT_LASTS = 'Restart the camera if this lasts.'

export const REASONS = {
  // As it should be.
  Streaming: { meaning: 'Packets arrive from the camera.', advice: '', severity: 'ok' },
  Decoding: { meaning: 'Frames are decoded for clients.', advice: '', severity: 'ok' },
  NoDemand: { meaning: 'No client asks for frames, so none are decoded.', advice: '', severity: 'ok' },
  Forwarding: { meaning: 'The stream is forwarded.', advice: '', severity: 'ok' },
  ForwardingConnecting: { meaning: 'Connecting to the RTMP server.', advice: '', severity: 'ok' },
  SwitchedOff: { meaning: 'Forwarding is turned off.', advice: '', severity: 'ok' },
  Recording: { meaning: 'The stream is written to the archive.', advice: '', severity: 'ok' },
  SubstreamIdle: { meaning: 'Nothing wants the substream, so it is not connected.', advice: '', severity: 'ok' },
  NotConfigured: { meaning: 'The spec does not ask for it.', advice: '', severity: 'ok' },
  Suspended: { meaning: 'The camera is stopped (spec.suspend).', advice: 'Set spec.suspend to false to start it.', severity: 'ok' },
  Deleting: { meaning: 'The Camera is being deleted, and its data in NATS is being removed.', advice: '', severity: 'ok' },
  Uninstalled: {
    meaning: 'Chrysalis Edge was uninstalled: nothing runs for the camera.',
    advice: 'Install it again, or delete the Camera.',
    severity: 'ok',
  },

  // Starting.
  PodPending: { meaning: 'The camera pod has not started yet.', advice: '', severity: 'ok' },
  ContainerCreating: {
    meaning: 'The node is preparing the camera pod.',
    advice: 'If this lasts, read the events of the camera pod.',
    severity: 'ok',
  },
  Terminating: {
    meaning: 'The old camera pod must end before the new one starts.',
    advice: 'If this lasts, its node is lost: remove the node from the cluster, or delete the pod with --force.',
    severity: 'ok',
  },
  Starting: { meaning: 'The sidecar has started and has not reported yet.', advice: '', severity: 'ok' },
  Connecting: { meaning: 'Connecting to the camera.', advice: '', severity: 'ok' },
  NotConnected: { meaning: 'This waits for the connection to the camera.', advice: 'Read the condition Connected.', severity: 'ok' },
  WaitingForLease: { meaning: 'Another pod of this camera holds the connection.', advice: RETRIED, severity: 'transient' },

  // The connection to the camera.
  HostNotFound: {
    meaning: 'The camera’s host name does not resolve.',
    advice: 'Correct the host in spec.source.url, or the DNS.',
    severity: 'transient',
  },
  HostUnreachable: { meaning: 'No route to the camera.', advice: REACH, severity: 'transient' },
  AddressDenied: {
    meaning: 'The address policy denies the camera’s address.',
    advice: 'Use the camera’s own address, or ask the cluster administrator to allow this one.',
    severity: 'needs-a-person',
  },
  ConnectionRefused: { meaning: 'Nothing listens at the camera’s address and port.', advice: REACH, severity: 'transient' },
  ConnectTimeout: { meaning: 'The camera does not answer.', advice: REACH, severity: 'transient' },
  ConnectFailed: { meaning: 'The connection to the camera failed.', advice: REACH, severity: 'transient' },
  ConnectionLost: { meaning: 'The connection to the camera broke.', advice: RETRIED, severity: 'transient' },
  StreamEnded: { meaning: 'The camera ended the stream.', advice: RETRIED, severity: 'transient' },
  StreamReplaced: { meaning: 'The source continues in another stream than before.', advice: RETRIED, severity: 'transient' },
  StreamStalled: { meaning: 'The camera is connected but sends nothing.', advice: IF_IT_LASTS, severity: 'transient' },
  AuthFailed: {
    meaning: 'The camera rejects the user name or password.',
    advice: 'Correct the keys username and password of the Secret that spec.source.credentialsSecretRef names. No restart is needed.',
    severity: 'needs-a-person',
  },
  NotFound: {
    meaning: 'The camera has no stream at this path.',
    advice: 'Correct the path in spec.source.url.',
    severity: 'needs-a-person',
  },
  RedirectRefused: {
    meaning: 'The camera redirects to another address, or its playlist to another protocol. Neither is followed.',
    advice: 'Put the address that it redirects to into spec.source.url. A playlist may name http and https only.',
    severity: 'needs-a-person',
  },
  ProtocolRefused: {
    meaning: 'The camera does not speak this protocol.',
    advice: 'Correct the scheme in spec.source.url, or spec.source.transport.',
    severity: 'needs-a-person',
  },
  CertificateRefused: {
    meaning: 'The camera’s TLS certificate is not the one that spec.source.tls asks for. Nothing was sent.',
    advice: 'Check which device answers at this address. If its certificate was changed on purpose, correct spec.source.tls.',
    severity: 'needs-a-person',
  },
  AuthorityNotFound: {
    meaning: 'The Secret or ConfigMap that spec.source.tls names has no such key, or does not exist.',
    advice: 'Create it in the Camera’s namespace. No restart is needed.',
    severity: 'needs-a-person',
  },
  TlsTooOld: {
    meaning: 'The camera speaks only a version of TLS that is not allowed.',
    advice: 'Update the camera’s firmware, or allow its version with spec.source.tls.minVersion: TLSv1.',
    severity: 'needs-a-person',
  },
  TransportUnsupported: {
    meaning: 'The camera rejects this transport.',
    advice: 'Set spec.source.transport to the other of tcp and udp.',
    severity: 'needs-a-person',
  },
  InvalidStream: {
    meaning: 'The answer is not a video stream.',
    advice: 'Correct the scheme, port and path in spec.source.url.',
    severity: 'transient',
  },
  NoConnectionLeft: {
    meaning: 'The camera has no connection or bandwidth left.',
    advice:
      'Close another client of the camera, such as a recorder or an app, or raise the camera’s limit. A session that was not ended times out in a minute or two.',
    severity: 'transient',
  },
  SessionRefused: { meaning: 'The camera does not know the session, or does not play it.', advice: IF_IT_LASTS, severity: 'transient' },
  RequestRefused: {
    meaning: 'The camera rejects the request.',
    advice: 'Correct the path in spec.source.url.',
    severity: 'transient',
  },
  LoginDowngraded: {
    meaning: 'The camera offers a weaker login than before. The password was not sent.',
    advice: 'Check which device answers at this address. If the camera was changed so on purpose, delete the camera pod.',
    severity: 'needs-a-person',
  },
  LoginUnsupported: {
    meaning: 'The camera offers no login that is supported.',
    advice: 'Set the camera to Digest (MD5 or SHA-256) or Basic authentication.',
    severity: 'needs-a-person',
  },
  Searching: { meaning: 'The network is searched, and what answers is listed.', advice: '', severity: 'ok' },
  SearchFailed: {
    meaning: 'The network cannot be searched.',
    advice: 'Correct spec.interfaces, spec.cidrs or the Secret of the CameraDiscovery.',
    severity: 'needs-a-person',
  },
  DiscoverySilent: {
    meaning: 'The discovery pod does not report.',
    advice: 'Read the events and the log of the pod discovery-NAME, and check that NATS is reachable from it.',
    severity: 'transient',
  },
  TemplateInvalid: {
    meaning: 'The API server rejects a Camera that is made of spec.template.',
    advice: 'Correct spec.template of the CameraDiscovery.',
    severity: 'needs-a-person',
  },
  ApprovalMissing: {
    meaning: 'The device can become a Camera, and is not approved.',
    advice: 'Add its UUID to spec.approved of the CameraDiscovery, or set spec.approve to Auto.',
    severity: 'ok',
  },
  OnvifFound: { meaning: 'An ONVIF device that can become a Camera.', advice: '', severity: 'ok' },
  OnvifLoginWaits: {
    meaning: 'A login to the ONVIF device was tried less than ten minutes ago.',
    advice: 'No action is needed: the next search after that tries again.',
    severity: 'transient',
  },
  OnvifNotFound: {
    meaning: 'No ONVIF device with this UUID answers.',
    advice: 'Check spec.source.onvif.uuid and cidrs, the camera’s power and network, and that WS-Discovery (UDP port 3702) reaches it.',
    severity: 'transient',
  },
  OnvifAuthFailed: {
    meaning: 'The ONVIF device rejects the user name or password.',
    advice:
      'Correct the Secret that spec.source.credentialsSecretRef names. Many cameras have users for ONVIF apart from those of their web page.',
    severity: 'needs-a-person',
  },
  OnvifNoProfile: {
    meaning: 'The ONVIF device has no such profile.',
    advice: 'Set spec.source.onvif.profile to main, or to a token that the message names.',
    severity: 'needs-a-person',
  },
  OnvifInvalidAnswer: {
    meaning: 'The answer is not one of an ONVIF device.',
    advice: 'Check spec.source.onvif.address and that ONVIF is enabled in the camera, or set spec.source.url instead.',
    severity: 'transient',
  },
  OnvifRefused: { meaning: 'The ONVIF device refuses a request.', advice: IF_IT_LASTS, severity: 'transient' },
  ServerError: { meaning: 'The camera answers with an internal error.', advice: IF_IT_LASTS, severity: 'transient' },
  SecretNotFound: {
    meaning: 'The Secret that spec.source.credentialsSecretRef names does not exist.',
    advice: 'Create it with the keys username and password in the Camera’s namespace. No restart is needed.',
    severity: 'needs-a-person',
  },
  SecretKeyMissing: {
    meaning: 'The Secret that spec.source.credentialsSecretRef names lacks a key.',
    advice: 'Add the key to the Secret. No restart is needed.',
    severity: 'needs-a-person',
  },
  CredentialsChanged: { meaning: 'The credentials changed: reconnecting.', advice: '', severity: 'transient' },

  // The stream of the camera.
  NoVideoTrack: {
    meaning: 'The stream has no video track.',
    advice: 'Correct the path in spec.source.url, or enable video in the camera.',
    severity: 'needs-a-person',
  },
  CodecUnsupported: {
    meaning: 'The camera’s codec is not supported.',
    advice: 'Set the camera to H.264, H.265 or MJPEG, or allow its codec in spec.source.codecs (RTSP).',
    severity: 'needs-a-person',
  },
  ResolutionTooLarge: {
    meaning: 'The frames are larger than 40 megapixels, or than the memory limit allows.',
    advice: 'Set the camera to a smaller size, use its smaller stream, or raise the memory limit that the message names.',
    severity: 'needs-a-person',
  },
  NoKeyframe: {
    meaning: 'The camera sends no keyframes.',
    advice: 'Set a shorter keyframe interval in the camera.',
    severity: 'transient',
  },
  NoDecodableFrames: {
    meaning: 'Data arrives, but no frame can be decoded from it.',
    advice: 'Check the camera’s encoder: H.264, H.265 or MJPEG, with a keyframe every few seconds.',
    severity: 'transient',
  },
  NewExtradata: { meaning: 'The stream’s parameters changed: reconnecting.', advice: '', severity: 'transient' },
  NoTimestamps: { meaning: 'The source has no timestamps: reconnecting to stamp by the clock.', advice: '', severity: 'transient' },
  TimestampsStuck: { meaning: 'The stream’s timestamps do not advance: reconnecting.', advice: IF_IT_LASTS, severity: 'transient' },
  Paced: { meaning: 'The source is not live: reconnecting to read it at its own pace.', advice: '', severity: 'transient' },

  // Decoding in a gateway.
  DecodersBusy: {
    meaning: 'The gateway has no room for all frames of this camera. It gives fewer, or none.',
    advice:
      'Set spec.decoding.scale or maxFps, raise CHRYS_DECODERS_MAX (gateway.decodersMax in the chart), or give the gateway more cores and memory.',
    severity: 'transient',
  },
  RenditionUnavailable: {
    meaning: 'The camera’s frames cannot be given in the rendition that the client asks for.',
    advice: 'Ask for a region and a size that the camera has, or end calls that ask for other renditions of it.',
    severity: 'needs-a-person',
  },
  NoPackets: {
    meaning: 'The camera’s packets do not reach the gateway that decodes them.',
    advice: 'Check that the gateway may subscribe to chrys.packets, or set spec.decoding.placement to Sidecar.',
    severity: 'transient',
  },

  // The buffer.
  BufferQuotaExceeded: {
    meaning: 'NATS has no room for this camera’s buffer.',
    advice: 'Lower spec.buffer.maxBytes, or raise the limit of NATS.',
    severity: 'needs-a-person',
  },
  BufferUnavailable: {
    meaning: 'NATS or the operator, which creates the packet stream, is unreachable: nothing is buffered.',
    advice: 'Check that NATS and the operator run.',
    severity: 'transient',
  },
  NatsForbidden: {
    meaning: 'The NATS user lacks a permission.',
    advice: 'Give the user the permissions that docs/nats.md lists.',
    severity: 'needs-a-person',
  },

  // Annotations.
  Storing: { meaning: 'Annotations are stored.', advice: '', severity: 'ok' },
  AnnotationsUnavailable: {
    meaning: 'Annotations are not stored.',
    advice: 'Check that NATS runs and has room, and that the cloud takes annotations.',
    severity: 'transient',
  },
  StoreDamaged: {
    meaning: 'The store of NATS is damaged: acknowledged annotations are lost.',
    advice: 'Check the disk of NATS. What was lost can only be annotated again.',
    severity: 'needs-a-person',
  },

  // Forwarding.
  ForwardingTargetMissing: {
    meaning: 'The Secret that spec.proxy.urlSecretRef names does not exist, or lacks the key.',
    advice: 'Create the Secret with the RTMP server’s URL. No restart is needed.',
    severity: 'needs-a-person',
  },
  ForwardingTargetInvalid: {
    meaning: 'The Secret holds no RTMP URL.',
    advice: 'Correct it to a URL such as rtmp://host/app/key. No restart is needed.',
    severity: 'needs-a-person',
  },
  ForwardingHostNotFound: {
    meaning: 'The RTMP server’s host name does not resolve.',
    advice: 'Correct the URL in the Secret, or the DNS.',
    severity: 'transient',
  },
  ForwardingHostUnreachable: { meaning: 'No route to the RTMP server.', advice: RTMP_REACH, severity: 'transient' },
  ForwardingAddressDenied: {
    meaning: 'The address policy denies the RTMP server’s address.',
    advice: 'Use another server, or ask the cluster administrator to allow this address.',
    severity: 'needs-a-person',
  },
  ForwardingConnectionRefused: {
    meaning: 'Nothing listens at the RTMP server’s address and port.',
    advice: RTMP_REACH,
    severity: 'transient',
  },
  ForwardingConnectTimeout: { meaning: 'The RTMP server does not answer.', advice: RTMP_REACH, severity: 'transient' },
  ForwardingCertificateInvalid: {
    meaning: 'The RTMP server’s certificate is not valid for its name.',
    advice: 'Renew it, or trust its authority with NODE_EXTRA_CA_CERTS.',
    severity: 'needs-a-person',
  },
  ForwardingRefused: {
    meaning: 'The RTMP server rejects the stream.',
    advice: 'Check the stream key in the Secret’s URL, and that no other publisher uses it.',
    severity: 'needs-a-person',
  },
  ForwardingCodecUnsupported: {
    meaning: 'RTMP does not carry the camera’s codec.',
    advice: 'Set the camera to H.264.',
    severity: 'needs-a-person',
  },
  ForwardingFailed: { meaning: 'The RTMP server does not take the stream.', advice: RTMP_REACH, severity: 'transient' },

  // The archive.
  ArchiveDiskFull: {
    meaning: 'The archive’s volume is full.',
    advice: 'Enlarge the volume, or lower spec.archive.retention or spec.archive.maxBytes. Writing resumes when there is room.',
    severity: 'needs-a-person',
  },
  ArchiveUnwritable: {
    meaning: 'The archive’s directory is not writable.',
    advice: 'Make it writable by UID 65532, the user that the pod runs as.',
    severity: 'needs-a-person',
  },
  ArchiveCodecUnsupported: {
    meaning: 'MP4 files do not carry the camera’s codec.',
    advice: 'Set the camera to H.264, H.265 or MJPEG.',
    severity: 'needs-a-person',
  },
  ArchiveFailed: {
    meaning: 'Writing the archive failed.',
    advice: 'Check the volume, and that UID 65532 may write to it.',
    severity: 'transient',
  },
  NotReported: { meaning: 'The sidecar has not reported whether this works.', advice: '', severity: 'transient' },

  // The camera pod; in local mode the camera's process.
  NodeRejectedPod: {
    meaning: 'The node rejected or evicted the camera pod.',
    advice: 'Read in the message what the node lacks. Failed pods are deleted, and the next one is created after a growing delay.',
    severity: 'transient',
  },
  PodRefused: {
    meaning: 'The cluster’s policy rejects the camera pod: Pod Security, a quota or an admission webhook.',
    advice: 'Change spec.pod or spec.archive.volume, or the namespace’s policy.',
    severity: 'needs-a-person',
  },
  DeploymentRefused: {
    meaning: 'The API server rejects the Deployment.',
    advice: 'Correct spec.pod, or the namespace’s quota or policy.',
    severity: 'needs-a-person',
  },
  FieldDenied: {
    meaning: 'The spec uses a field that the cluster’s administrator denies.',
    advice: 'Remove the field from the spec, or ask the administrator to allow it (cameras.denyFields in the chart).',
    severity: 'needs-a-person',
  },
  NameTaken: {
    meaning: 'A Deployment with this name exists and is not this Camera’s.',
    advice: 'Rename the Deployment, or the Camera.',
    severity: 'needs-a-person',
  },
  Unschedulable: {
    meaning: 'No node can take the camera pod.',
    advice: 'Change spec.pod (resources, nodeSelector, tolerations, affinity), or the nodes.',
    severity: 'needs-a-person',
  },
  ImagePullBackOff: {
    meaning: 'The image cannot be pulled.',
    advice: 'Correct spec.pod.image or the operator’s image, or give the node access to the registry.',
    severity: 'needs-a-person',
  },
  InvalidImageName: { meaning: 'The image’s name is malformed.', advice: 'Correct spec.pod.image.', severity: 'needs-a-person' },
  CreateContainerConfigError: { meaning: 'The container’s configuration is invalid.', advice: POD_EVENTS, severity: 'needs-a-person' },
  CreateContainerError: { meaning: 'The container cannot be created.', advice: POD_EVENTS, severity: 'transient' },
  RunContainerError: { meaning: 'The container cannot be started.', advice: POD_EVENTS, severity: 'transient' },
  OOMKilled: {
    meaning: 'The container exceeded its memory limit.',
    advice: 'Raise spec.pod.resources.limits.memory.',
    severity: 'transient',
  },
  Restarting: { meaning: 'The sidecar ended and is being restarted.', advice: RETRIED, severity: 'transient' },
  CrashLoop: { meaning: 'The sidecar ends again and again.', advice: POD_LOG, severity: 'transient' },
  ConfigurationInvalid: { meaning: 'The sidecar rejects its configuration.', advice: POD_LOG, severity: 'needs-a-person' },
  FoldersUnavailable: {
    meaning: 'The directories that the camera needs cannot be created.',
    advice: 'Make the directory in the message writable, then start again.',
    severity: 'needs-a-person',
  },
  SpawnFailed: {
    meaning: 'The program ffmpeg cannot be started.',
    advice: 'Check the image, and the node’s limits on processes and open files.',
    severity: 'transient',
  },
  FfmpegKilled: {
    meaning: 'The program ffmpeg was killed.',
    advice: 'If this repeats, raise spec.pod.resources.limits.memory.',
    severity: 'transient',
  },
  InternalError: { meaning: 'Unexpected internal error.', advice: POD_LOG, severity: 'transient' },

  // NATS, the operator and the gateway.
  SidecarSilent: {
    meaning: 'The camera pod runs, but the sidecar sends no heartbeat.',
    advice: 'Check that the node is up, and that the camera pod can reach NATS.',
    severity: 'transient',
  },
  NatsUnreachable: {
    meaning: 'NATS is unreachable, so the state of the camera is unknown.',
    advice: 'Check that NATS runs.',
    severity: 'transient',
  },
  CleanUpSkipped: {
    meaning: 'The Camera was deleted, but its packet stream and keys in NATS were not.',
    advice: 'Check that NATS runs: they are removed when it is reachable again.',
    severity: 'transient',
  },
  TlsReloadFailed: {
    meaning: 'The gateway cannot use its new TLS certificate and keeps the old one.',
    advice: 'Correct the certificate and key. No restart is needed.',
    severity: 'needs-a-person',
  },
  AddressUnavailable: {
    meaning: 'The gateway cannot serve gRPC at its address.',
    advice: 'Change CHRYS_GRPC_HOST or CHRYS_GRPC_PORT, or stop the process that uses the port.',
    severity: 'needs-a-person',
  },
} as const satisfies Record<string, Entry>

export type Reason = keyof typeof REASONS

declare const heard: unique symbol
/** A reason that another process sent. It may be newer and know more reasons. */
export type AnyReason = Reason | (string & { readonly [heard]: true })

/** What is wrong, or not yet as it should be. The message says what happened; without one the reason's meaning does. */
export type Cause = { reason: Reason; message: string }

const entryOf = (reason: AnyReason): Entry | undefined => (Object.hasOwn(REASONS, reason) ? REASONS[reason as Reason] : undefined)

/** An unknown reason may pass by itself. */
export const severityOf = (reason: AnyReason): Severity => entryOf(reason)?.severity ?? 'transient'

/** What happened, then what to do. An unknown reason has no advice. */
export function explain(reason: AnyReason, message?: string): string {
  const { meaning, advice } = entryOf(reason) ?? { meaning: reason, advice: '' }
  const happened = message === undefined || message === '' ? meaning : sentence(message)
  return (advice === '' ? happened : `${happened} ${advice}`).slice(0, 4_096)
}

const sentence = (text: string): string => `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.!?…]$/.test(text) ? '' : '.'}`
