{{- /* The program's configuration file: each value that is a flag of the controller, unless it is empty. */}}
{{- define "nodeport-lb.config" -}}
{{- range $key := list
  "provider"
  "providerOptions"
  "clusterName"
  "loadBalancerClass"
  "claimUnsetClass"
  "namespaces"
  "leaderElect"
  "leaderElectNamespace"
  "nodeAddressTypes"
  "http"
  "dryRun"
  "shareAcrossNamespaces"
  "logLevel"
  "localPools"
  "localDatapath"
  "localForwarder"
  "localPortFallback"
  "awsRegion"
  "awsVpcId"
  "awsDefaultScheme"
  "awsApiThrottle"
}}
{{- $value := index $.Values $key }}
{{- if or $value (kindIs "bool" $value) }}
{{ $key }}: {{ toJson $value }}
{{- end }}
{{- end }}
{{- end }}
