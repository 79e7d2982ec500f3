/** Shapes of the volumes of a pod, in the notation of types-core.ts. */
export const volumeTypes = `
HostPathVolumeSource: path! s; type* s
EmptyDirVolumeSource: medium s; sizeLimit* quantity
GCEPersistentDiskVolumeSource: pdName! s; fsType s; partition i32; readOnly b
AWSElasticBlockStoreVolumeSource: volumeID! s; fsType s; partition i32; readOnly b
GitRepoVolumeSource: repository! s; revision s; directory s
KeyToPath: key! s; path! s; mode* i32
SecretVolumeSource: secretName s; items [KeyToPath]; defaultMode* i32; optional* b
NFSVolumeSource: server! s; path! s; readOnly b
ISCSIVolumeSource: targetPortal! s; iqn! s; lun! i32; iscsiInterface s; fsType s; readOnly b; portals [s]; chapAuthDiscovery
  b; chapAuthSession=11 b; secretRef=10* LocalObjectReference~; initiatorName=12* s
GlusterfsVolumeSource: endpoints! s; path! s; readOnly b
PersistentVolumeClaimVolumeSource: claimName! s; readOnly b
RBDVolumeSource: monitors! [s]; image! s; fsType s; pool s; user s; keyring s; secretRef* LocalObjectReference~; readOnly b
FlexVolumeSource: driver! s; fsType s; secretRef* LocalObjectReference~; readOnly b; options {s}
CinderVolumeSource: volumeID! s; fsType s; readOnly b; secretRef* LocalObjectReference~
CephFSVolumeSource: monitors! [s]; path s; user s; secretFile s; secretRef* LocalObjectReference~; readOnly b
FlockerVolumeSource: datasetName s; datasetUUID s
ObjectFieldSelector: apiVersion s; fieldPath! s
ResourceFieldSelector: containerName s; resource! s; divisor! quantity
DownwardAPIVolumeFile: path! s; fieldRef* ObjectFieldSelector~; resourceFieldRef* ResourceFieldSelector~; mode* i32
DownwardAPIVolumeSource: items [DownwardAPIVolumeFile]; defaultMode* i32
FCVolumeSource: targetWWNs [s]; lun* i32; fsType s; readOnly b; wwids [s]
AzureFileVolumeSource: secretName! s; shareName! s; readOnly b
ConfigMapVolumeSource: name s; items=2 [KeyToPath]; defaultMode* i32; optional* b
VsphereVirtualDiskVolumeSource: volumePath! s; fsType s; storagePolicyName s; storagePolicyID s
QuobyteVolumeSource: registry! s; volume! s; readOnly b; user s; group s; tenant s
AzureDiskVolumeSource: diskName! s; diskURI! s; cachingMode* s; fsType* s; readOnly* b; kind* s
PhotonPersistentDiskVolumeSource: pdID! s; fsType s
SecretProjection: name s; items=2 [KeyToPath]; optional=4* b
DownwardAPIProjection: items [DownwardAPIVolumeFile]
ConfigMapProjection: name s; items=2 [KeyToPath]; optional=4* b
ServiceAccountTokenProjection: audience s; expirationSeconds* i64; path! s
LabelSelector: matchLabels {s}; matchExpressions [LabelSelectorRequirement]
ClusterTrustBundleProjection: name* s; signerName* s; labelSelector* LabelSelector~; optional=5* b; path=4! s
PodCertificateProjection: signerName s; keyType s; maxExpirationSeconds* i32; credentialBundlePath s; keyPath s;
  certificateChainPath s; userAnnotations {s}
VolumeProjection: secret* SecretProjection; downwardAPI* DownwardAPIProjection; configMap* ConfigMapProjection;
  serviceAccountToken* ServiceAccountTokenProjection; clusterTrustBundle* ClusterTrustBundleProjection; podCertificate*
  PodCertificateProjection
ProjectedVolumeSource: sources! [VolumeProjection]; defaultMode* i32
PortworxVolumeSource: volumeID! s; fsType s; readOnly b
ScaleIOVolumeSource: gateway! s; system! s; secretRef!* LocalObjectReference~; sslEnabled b; protectionDomain s; storagePool
  s; storageMode s; volumeName s; fsType s; readOnly b
StorageOSVolumeSource: volumeName s; volumeNamespace s; fsType s; readOnly b; secretRef* LocalObjectReference~
CSIVolumeSource: driver! s; readOnly* b; fsType* s; volumeAttributes {s}; nodePublishSecretRef* LocalObjectReference~
VolumeResourceRequirements: limits {quantity}; requests {quantity}
TypedLocalObjectReference: apiGroup!* s; kind! s; name! s
TypedObjectReference: apiGroup!* s; kind! s; name! s; namespace* s
PersistentVolumeClaimSpec: accessModes [s]; selector=4* LabelSelector~; resources=2! VolumeResourceRequirements; volumeName s;
  storageClassName=5* s; volumeMode* s; dataSource* TypedLocalObjectReference~; dataSourceRef* TypedObjectReference;
  volumeAttributesClassName* s
PersistentVolumeClaimTemplate: metadata! ObjectMeta; spec! PersistentVolumeClaimSpec
EphemeralVolumeSource: volumeClaimTemplate* PersistentVolumeClaimTemplate
ImageVolumeSource: reference s; pullPolicy s
Volume: name! s; hostPath* HostPathVolumeSource; emptyDir* EmptyDirVolumeSource; gcePersistentDisk*
  GCEPersistentDiskVolumeSource; awsElasticBlockStore* AWSElasticBlockStoreVolumeSource; gitRepo* GitRepoVolumeSource; secret*
  SecretVolumeSource; nfs* NFSVolumeSource; iscsi* ISCSIVolumeSource; glusterfs* GlusterfsVolumeSource; persistentVolumeClaim*
  PersistentVolumeClaimVolumeSource; rbd* RBDVolumeSource; flexVolume* FlexVolumeSource; cinder* CinderVolumeSource; cephfs*
  CephFSVolumeSource; flocker* FlockerVolumeSource; downwardAPI* DownwardAPIVolumeSource; fc* FCVolumeSource; azureFile*
  AzureFileVolumeSource; configMap* ConfigMapVolumeSource; vsphereVolume* VsphereVirtualDiskVolumeSource; quobyte*
  QuobyteVolumeSource; azureDisk* AzureDiskVolumeSource; photonPersistentDisk* PhotonPersistentDiskVolumeSource; projected=26*
  ProjectedVolumeSource; portworxVolume=24* PortworxVolumeSource; scaleIO* ScaleIOVolumeSource; storageos=27*
  StorageOSVolumeSource; csi* CSIVolumeSource; ephemeral* EphemeralVolumeSource; image* ImageVolumeSource
`;
