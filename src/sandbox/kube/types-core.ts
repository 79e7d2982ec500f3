/**
 * Shapes of the kinds that are served, but for pods and what holds pod templates.
 * One line a type, in the API's own field order: `name! type` is always written, `name* type` may hold a zero (a pointer in the
 * API), any other is left out when empty; `name=7` gives the protobuf number where that is not one more than the field's before.
 * `[T]@a,b` is a list whose items are told apart by a and b, `[T]@` a set, `{T}` a map,
 * `~` is replaced as a whole, `^key` merges by that key in a strategic merge patch (`^` alone: plain values).
 * @see https://kubernetes.io/docs/reference/kubernetes-api/
 */
export const coreTypes = `
OwnerReference: apiVersion=5! s; kind=1! s; name=3! s; uid! s; controller=6* b; blockOwnerDeletion* b
ManagedFieldsEntry: manager s; operation s; apiVersion s; time* time; fieldsType=6 s; fieldsV1* any; subresource s
ObjectMeta: name s; generateName s; namespace s; selfLink s; uid s; resourceVersion s; generation i64; creationTimestamp time;
  deletionTimestamp* time; deletionGracePeriodSeconds* i64; labels {s}; annotations {s}; ownerReferences
  [OwnerReference~]@uid^uid; finalizers [s]@^; managedFields=17 [ManagedFieldsEntry]
NamespaceSpec: finalizers [s]
NamespaceCondition: type! s; status! s; lastTransitionTime=4! time; reason s; message s
NamespaceStatus: phase s; conditions [NamespaceCondition]@type^type
Namespace: kind s; apiVersion s; metadata! ObjectMeta; spec! NamespaceSpec; status! NamespaceStatus
ServicePort: name s; protocol s; appProtocol=6* s; port=3! i32; targetPort! intstr; nodePort i32
ClientIPConfig: timeoutSeconds* i32
SessionAffinityConfig: clientIP* ClientIPConfig
ServiceSpec: ports [ServicePort]@port,protocol^port; selector {s}~; clusterIP s; clusterIPs=18 [s]; type=4 s; externalIPs [s];
  sessionAffinity=7 s; loadBalancerIP s; loadBalancerSourceRanges [s]; externalName s; externalTrafficPolicy s;
  healthCheckNodePort i32; publishNotReadyAddresses b; sessionAffinityConfig* SessionAffinityConfig; ipFamilies=19 [s];
  ipFamilyPolicy=17* s; allocateLoadBalancerNodePorts=20* b; loadBalancerClass* s; internalTrafficPolicy* s;
  trafficDistribution* s
PortStatus: port! i32; protocol! s; error* s
LoadBalancerIngress: ip s; hostname s; ipMode* s; ports [PortStatus]
LoadBalancerStatus: ingress [LoadBalancerIngress]
Condition: type! s; status! s; observedGeneration i64; lastTransitionTime! time; reason! s; message! s
ServiceStatus: loadBalancer! LoadBalancerStatus; conditions [Condition]@type^type
Service: kind s; apiVersion s; metadata! ObjectMeta; spec! ServiceSpec; status! ServiceStatus
ObjectReference: kind s; namespace s; name s; uid s; apiVersion s; resourceVersion s; fieldPath s
EndpointAddress: ip! s; hostname=3 s; nodeName* s; targetRef=2* ObjectReference~
EndpointPort: name s; port! i32; protocol s; appProtocol* s
EndpointSubset: addresses [EndpointAddress~]; notReadyAddresses [EndpointAddress~]; ports [EndpointPort~]
Endpoints: kind s; apiVersion s; metadata! ObjectMeta; subsets [EndpointSubset]
Taint: key! s; value s; effect! s; timeAdded* time
ConfigMapNodeConfigSource: namespace! s; name! s; uid s; resourceVersion s; kubeletConfigKey! s
NodeConfigSource: configMap=2* ConfigMapNodeConfigSource
NodeSpec: podCIDR s; podCIDRs=7 [s]@^; providerID=3 s; unschedulable b; taints [Taint]; configSource* NodeConfigSource;
  externalID=2 s
NodeCondition: type! s; status! s; lastHeartbeatTime! time; lastTransitionTime! time; reason s; message s
NodeAddress: type! s; address! s
DaemonEndpoint: Port! i32
NodeDaemonEndpoints: kubeletEndpoint! DaemonEndpoint
NodeSwapStatus: capacity* i64
NodeSystemInfo: machineID! s; systemUUID! s; bootID! s; kernelVersion! s; osImage! s; containerRuntimeVersion! s;
  kubeletVersion! s; kubeProxyVersion! s; operatingSystem! s; architecture! s; swap* NodeSwapStatus
ContainerImage: names! [s]; sizeBytes i64
AttachedVolume: name! s; devicePath! s
NodeConfigStatus: assigned* NodeConfigSource; active* NodeConfigSource; lastKnownGood* NodeConfigSource; error s
NodeRuntimeHandlerFeatures: recursiveReadOnlyMounts* b; userNamespaces* b
NodeRuntimeHandler: name! s; features* NodeRuntimeHandlerFeatures
NodeFeatures: supplementalGroupsPolicy* b
NodeStatus: capacity {quantity}; allocatable {quantity}; phase s; conditions [NodeCondition]@type^type; addresses
  [NodeAddress]@type^type; daemonEndpoints! NodeDaemonEndpoints; nodeInfo! NodeSystemInfo; images [ContainerImage];
  volumesInUse [s]; volumesAttached [AttachedVolume]; config* NodeConfigStatus; runtimeHandlers [NodeRuntimeHandler];
  features* NodeFeatures; declaredFeatures [s]
Node: kind s; apiVersion s; metadata! ObjectMeta; spec! NodeSpec; status! NodeStatus
EventSource: component s; host s
EventSeries: count i32; lastObservedTime! microtime
Event: kind s; apiVersion s; metadata! ObjectMeta; involvedObject! ObjectReference~; reason s; message s; source! EventSource;
  firstTimestamp! time; lastTimestamp! time; count i32; type s; eventTime! microtime; series* EventSeries; action s; related*
  ObjectReference~; reportingComponent! s; reportingInstance! s
ConfigMap: kind s; apiVersion s; metadata! ObjectMeta; immutable=4* b; data=2 {s}; binaryData {bytes}
Secret: kind s; apiVersion s; metadata! ObjectMeta; immutable=5* b; data=2 {bytes}; stringData=4 {s}; type=3 s
LocalObjectReference: name s
ServiceAccount: kind s; apiVersion s; metadata! ObjectMeta; secrets [ObjectReference~]@name^name; imagePullSecrets
  [LocalObjectReference~]; automountServiceAccountToken* b
SliceEndpointPort: name* s; protocol* s; port* i32; appProtocol* s
EndpointConditions: ready* b; serving* b; terminating* b
ForZone: name! s
ForNode: name! s
EndpointHints: forZones [ForZone]; forNodes [ForNode]
Endpoint: addresses! [s]@; conditions! EndpointConditions; hostname* s; targetRef* ObjectReference~; deprecatedTopology {s};
  nodeName* s; zone* s; hints* EndpointHints
EndpointSlice: kind s; apiVersion s; metadata! ObjectMeta; addressType=4! s; endpoints=2! [Endpoint]; ports!
  [SliceEndpointPort~]
LeaseSpec: holderIdentity* s; leaseDurationSeconds* i32; acquireTime* microtime; renewTime* microtime; leaseTransitions* i32;
  strategy* s; preferredHolder* s
Lease: kind s; apiVersion s; metadata! ObjectMeta; spec! LeaseSpec
EventsEventSeries: count! i32; lastObservedTime! microtime
EventsEvent: kind s; apiVersion s; metadata! ObjectMeta; eventTime! microtime; series* EventsEventSeries; reportingController
  s; reportingInstance s; action s; reason s; regarding! ObjectReference~; related* ObjectReference~; note s; type s;
  deprecatedSource! EventSource; deprecatedFirstTimestamp! time; deprecatedLastTimestamp! time; deprecatedCount i32
ScaleSpec: replicas i32
ScaleStatus: replicas! i32; selector s
Scale: kind s; apiVersion s; metadata! ObjectMeta; spec! ScaleSpec; status! ScaleStatus
FieldSelectorRequirement: key! s; operator! s; values [s]
FieldSelectorAttributes: rawSelector s; requirements [FieldSelectorRequirement]
LabelSelectorRequirement: key! s; operator! s; values [s]
LabelSelectorAttributes: rawSelector s; requirements [LabelSelectorRequirement]
ResourceAttributes: namespace s; verb s; group s; version s; resource s; subresource s; name s; fieldSelector*
  FieldSelectorAttributes; labelSelector* LabelSelectorAttributes
NonResourceAttributes: path s; verb s
SelfSubjectAccessReviewSpec: resourceAttributes* ResourceAttributes; nonResourceAttributes* NonResourceAttributes
SubjectAccessReviewStatus: allowed! b; denied=4 b; reason=2 s; evaluationError s
SelfSubjectAccessReview: kind s; apiVersion s; metadata! ObjectMeta; spec! SelfSubjectAccessReviewSpec; status!
  SubjectAccessReviewStatus
`;
