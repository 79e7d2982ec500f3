/** Shapes of pods and of the kinds that hold pod templates, in the notation of types-core.ts. */
export const podTypes = `
ContainerPort: name s; hostPort i32; containerPort! i32; protocol s; hostIP s
ConfigMapEnvSource: name s; optional=2* b
SecretEnvSource: name s; optional=2* b
EnvFromSource: prefix s; configMapRef* ConfigMapEnvSource; secretRef* SecretEnvSource
ConfigMapKeySelector: name s; key=2! s; optional* b
SecretKeySelector: name s; key=2! s; optional* b
FileKeySelector: volumeName! s; path! s; key! s; optional* b
EnvVarSource: fieldRef* ObjectFieldSelector~; resourceFieldRef* ResourceFieldSelector~; configMapKeyRef*
  ConfigMapKeySelector~; secretKeyRef* SecretKeySelector~; fileKeyRef* FileKeySelector~
EnvVar: name! s; value s; valueFrom* EnvVarSource
ResourceClaim: name! s; request s
ResourceRequirements: limits {quantity}; requests {quantity}; claims [ResourceClaim]@name
ContainerResizePolicy: resourceName! s; restartPolicy! s
ContainerRestartRuleOnExitCodes: operator s; values [i32]@
ContainerRestartRule: action s; exitCodes* ContainerRestartRuleOnExitCodes
VolumeMount: name! s; readOnly b; recursiveReadOnly=7* s; mountPath=3! s; subPath s; mountPropagation* s; subPathExpr s
VolumeDevice: name! s; devicePath! s
ExecAction: command [s]
HTTPHeader: name! s; value! s
HTTPGetAction: path s; port! intstr; host s; scheme s; httpHeaders [HTTPHeader]
TCPSocketAction: port! intstr; host s
GRPCAction: port! i32; service!* s
Probe: exec* ExecAction; httpGet* HTTPGetAction; tcpSocket* TCPSocketAction; grpc* GRPCAction; initialDelaySeconds=2 i32;
  timeoutSeconds i32; periodSeconds i32; successThreshold i32; failureThreshold i32; terminationGracePeriodSeconds* i64
SleepAction: seconds! i64
LifecycleHandler: exec* ExecAction; httpGet* HTTPGetAction; tcpSocket* TCPSocketAction; sleep* SleepAction
Lifecycle: postStart* LifecycleHandler; preStop* LifecycleHandler; stopSignal* s
Capabilities: add [s]; drop [s]
SELinuxOptions: user s; role s; type s; level s
WindowsSecurityContextOptions: gmsaCredentialSpecName* s; gmsaCredentialSpec* s; runAsUserName* s; hostProcess* b
SeccompProfile: type! s; localhostProfile* s
AppArmorProfile: type! s; localhostProfile* s
SecurityContext: capabilities* Capabilities; privileged* b; seLinuxOptions* SELinuxOptions; windowsOptions=10*
  WindowsSecurityContextOptions; runAsUser=4* i64; runAsGroup=8* i64; runAsNonRoot=5* b; readOnlyRootFilesystem* b;
  allowPrivilegeEscalation* b; procMount=9* s; seccompProfile=11* SeccompProfile; appArmorProfile* AppArmorProfile
Container: name! s; image s; command [s]; args [s]; workingDir s; ports [ContainerPort]@containerPort,protocol^containerPort;
  envFrom=19 [EnvFromSource]; env=7 [EnvVar]@name^name; resources! ResourceRequirements; resizePolicy=23
  [ContainerResizePolicy]; restartPolicy* s; restartPolicyRules [ContainerRestartRule]; volumeMounts=9
  [VolumeMount]@mountPath^mountPath; volumeDevices=21 [VolumeDevice]@devicePath^devicePath; livenessProbe=10* Probe;
  readinessProbe* Probe; startupProbe=22* Probe; lifecycle=12* Lifecycle; terminationMessagePath s;
  terminationMessagePolicy=20 s; imagePullPolicy=14 s; securityContext* SecurityContext; stdin b; stdinOnce b; tty b
EphemeralContainer: name! s; image s; command [s]; args [s]; workingDir s; ports
  [ContainerPort]@containerPort,protocol^containerPort; envFrom=19 [EnvFromSource]; env=7 [EnvVar]@name^name; resources!
  ResourceRequirements; resizePolicy=23 [ContainerResizePolicy]; restartPolicy* s; restartPolicyRules [ContainerRestartRule];
  volumeMounts=9 [VolumeMount]@mountPath^mountPath; volumeDevices=21 [VolumeDevice]@devicePath^devicePath; livenessProbe=10*
  Probe; readinessProbe* Probe; startupProbe=22* Probe; lifecycle=12* Lifecycle; terminationMessagePath s;
  terminationMessagePolicy=20 s; imagePullPolicy=14 s; securityContext* SecurityContext; stdin b; stdinOnce b; tty b;
  targetContainerName=2 s
Sysctl: name! s; value! s
PodSecurityContext: seLinuxOptions* SELinuxOptions; windowsOptions=8* WindowsSecurityContextOptions; runAsUser=2* i64;
  runAsGroup=6* i64; runAsNonRoot=3* b; supplementalGroups [i64]; supplementalGroupsPolicy=12* s; fsGroup=5* i64; sysctls=7
  [Sysctl]; fsGroupChangePolicy=9* s; seccompProfile* SeccompProfile; appArmorProfile* AppArmorProfile;
  seLinuxChangePolicy=13* s
NodeSelectorRequirement: key! s; operator! s; values [s]
NodeSelectorTerm: matchExpressions [NodeSelectorRequirement]; matchFields [NodeSelectorRequirement]
NodeSelector: nodeSelectorTerms! [NodeSelectorTerm~]
PreferredSchedulingTerm: weight! i32; preference! NodeSelectorTerm~
NodeAffinity: requiredDuringSchedulingIgnoredDuringExecution* NodeSelector~; preferredDuringSchedulingIgnoredDuringExecution
  [PreferredSchedulingTerm]
PodAffinityTerm: labelSelector* LabelSelector~; namespaces [s]; topologyKey! s; namespaceSelector* LabelSelector~;
  matchLabelKeys [s]; mismatchLabelKeys [s]
WeightedPodAffinityTerm: weight! i32; podAffinityTerm! PodAffinityTerm
PodAffinity: requiredDuringSchedulingIgnoredDuringExecution [PodAffinityTerm]; preferredDuringSchedulingIgnoredDuringExecution
  [WeightedPodAffinityTerm]
PodAntiAffinity: requiredDuringSchedulingIgnoredDuringExecution [PodAffinityTerm];
  preferredDuringSchedulingIgnoredDuringExecution [WeightedPodAffinityTerm]
Affinity: nodeAffinity* NodeAffinity; podAffinity* PodAffinity; podAntiAffinity* PodAntiAffinity
Toleration: key s; operator s; value s; effect s; tolerationSeconds* i64
HostAlias: ip! s; hostnames [s]
PodDNSConfigOption: name s; value* s
PodDNSConfig: nameservers [s]; searches [s]; options [PodDNSConfigOption]
PodReadinessGate: conditionType! s
TopologySpreadConstraint: maxSkew! i32; topologyKey! s; whenUnsatisfiable! s; labelSelector* LabelSelector~; minDomains* i32;
  nodeAffinityPolicy* s; nodeTaintsPolicy* s; matchLabelKeys [s]
PodOS: name! s
PodSchedulingGate: name! s
PodResourceClaim: name! s; resourceClaimName=3* s; resourceClaimTemplateName* s
PodSchedulingGroup: podGroupName* s
PodSpec: volumes [Volume]@name^name$merge,retainKeys; initContainers=20 [Container]@name^name; containers=2!
  [Container]@name^name; ephemeralContainers=34 [EphemeralContainer]@name^name; restartPolicy=3 s;
  terminationGracePeriodSeconds* i64; activeDeadlineSeconds* i64; dnsPolicy s; nodeSelector {s}~; serviceAccountName s;
  serviceAccount s; automountServiceAccountToken=21* b; nodeName=10 s; hostNetwork b; hostPID b; hostIPC b;
  shareProcessNamespace=27* b; securityContext=14* PodSecurityContext; imagePullSecrets [LocalObjectReference~]@name^name;
  hostname s; subdomain s; affinity* Affinity; schedulerName s; tolerations=22 [Toleration]; hostAliases [HostAlias]@ip^ip;
  priorityClassName s; priority* i32; dnsConfig* PodDNSConfig; readinessGates=28 [PodReadinessGate]; runtimeClassName* s;
  enableServiceLinks* b; preemptionPolicy* s; overhead {quantity}; topologySpreadConstraints
  [TopologySpreadConstraint]@topologyKey,whenUnsatisfiable^topologyKey; setHostnameAsFQDN=35* b; os* PodOS; hostUsers* b;
  schedulingGates [PodSchedulingGate]@name^name; resourceClaims [PodResourceClaim]@name^name$merge,retainKeys; resources*
  ResourceRequirements; hostnameOverride* s; schedulingGroup=43* PodSchedulingGroup
PodCondition: type! s; observedGeneration=7 i64; status=2! s; lastProbeTime! time; lastTransitionTime! time; reason s; message
  s
HostIP: ip! s
PodIP: ip! s
ContainerStateWaiting: reason s; message s
ContainerStateRunning: startedAt! time
ContainerStateTerminated: exitCode! i32; signal i32; reason s; message s; startedAt! time; finishedAt! time; containerID s
ContainerState: waiting* ContainerStateWaiting; running* ContainerStateRunning; terminated* ContainerStateTerminated
ImageVolumeStatus: imageRef s
VolumeStatus: image* ImageVolumeStatus
VolumeMountStatus: name! s; mountPath! s; readOnly b; recursiveReadOnly* s; volumeStatus* VolumeStatus
LinuxContainerUser: uid! i64; gid! i64; supplementalGroups [i64]
ContainerUser: linux* LinuxContainerUser
ResourceHealth: resourceID! s; health s; message=6* s
ResourceStatus: name! s; resources [ResourceHealth]@resourceID
ContainerStatus: name! s; state! ContainerState; lastState! ContainerState; ready! b; restartCount! i32; image! s; imageID! s;
  containerID s; started* b; allocatedResources {quantity}; resources* ResourceRequirements; volumeMounts
  [VolumeMountStatus]@mountPath^mountPath; user* ContainerUser; allocatedResourcesStatus [ResourceStatus]@name^name;
  stopSignal* s
PodResourceClaimStatus: name! s; resourceClaimName* s
ContainerExtendedResourceRequest: containerName! s; resourceName! s; requestName! s
PodExtendedResourceClaimStatus: requestMappings! [ContainerExtendedResourceRequest]; resourceClaimName! s
NodeAllocatableResourceClaimStatus: resourceClaimName! s; containers [s]@; resources! {quantity}
PodStatus: observedGeneration=17 i64; phase=1 s; conditions [PodCondition]@type^type; message s; reason s;
  nominatedNodeName=11 s; hostIP=5 s; hostIPs=16 [HostIP]^ip; podIP=6 s; podIPs=12 [PodIP]@ip^ip; startTime=7* time;
  initContainerStatuses=10 [ContainerStatus]; containerStatuses=8 [ContainerStatus]; qosClass s; ephemeralContainerStatuses=13
  [ContainerStatus]; resize s; resourceClaimStatuses [PodResourceClaimStatus]@name^name$merge,retainKeys;
  extendedResourceClaimStatus=18* PodExtendedResourceClaimStatus; allocatedResources {quantity}; resources*
  ResourceRequirements; nodeAllocatableResourceClaimStatuses [NodeAllocatableResourceClaimStatus]
Pod: kind s; apiVersion s; metadata! ObjectMeta; spec! PodSpec; status! PodStatus
PodTemplateSpec: metadata! ObjectMeta; spec! PodSpec
RollingUpdateDeployment: maxUnavailable* intstr; maxSurge* intstr
DeploymentStrategy: type s; rollingUpdate* RollingUpdateDeployment
DeploymentSpec: replicas* i32; selector!* LabelSelector~; template! PodTemplateSpec; strategy! DeploymentStrategy^$retainKeys;
  minReadySeconds i32; revisionHistoryLimit* i32; paused b; progressDeadlineSeconds=9* i32
DeploymentCondition: type! s; status! s; lastUpdateTime=6! time; lastTransitionTime! time; reason=4 s; message s
DeploymentStatus: observedGeneration i64; replicas i32; updatedReplicas i32; readyReplicas=7 i32; availableReplicas=4 i32;
  unavailableReplicas i32; terminatingReplicas=9* i32; conditions=6 [DeploymentCondition]@type^type; collisionCount=8* i32
Deployment: kind s; apiVersion s; metadata! ObjectMeta; spec! DeploymentSpec; status! DeploymentStatus
RollingUpdateDaemonSet: maxUnavailable* intstr; maxSurge* intstr
DaemonSetUpdateStrategy: type s; rollingUpdate* RollingUpdateDaemonSet
DaemonSetSpec: selector!* LabelSelector~; template! PodTemplateSpec; updateStrategy! DaemonSetUpdateStrategy; minReadySeconds
  i32; revisionHistoryLimit=6* i32
DaemonSetCondition: type! s; status! s; lastTransitionTime! time; reason s; message s
DaemonSetStatus: currentNumberScheduled! i32; numberMisscheduled! i32; desiredNumberScheduled! i32; numberReady! i32;
  observedGeneration i64; updatedNumberScheduled i32; numberAvailable i32; numberUnavailable i32; collisionCount* i32;
  conditions [DaemonSetCondition]@type^type
DaemonSet: kind s; apiVersion s; metadata! ObjectMeta; spec! DaemonSetSpec; status! DaemonSetStatus
ReplicaSetSpec: replicas* i32; minReadySeconds=4 i32; selector=2!* LabelSelector~; template! PodTemplateSpec
ReplicaSetCondition: type! s; status! s; lastTransitionTime! time; reason s; message s
ReplicaSetStatus: replicas! i32; fullyLabeledReplicas i32; readyReplicas=4 i32; availableReplicas i32; terminatingReplicas=7*
  i32; observedGeneration=3 i64; conditions=6 [ReplicaSetCondition]@type^type
ReplicaSet: kind s; apiVersion s; metadata! ObjectMeta; spec! ReplicaSetSpec; status! ReplicaSetStatus
`;
