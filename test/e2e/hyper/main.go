// The Kubernetes programs that the end-to-end lab runs, in one binary; the name it is called by (a link) chooses.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

var programs = map[string]func() *cobra.Command{
	"kube-apiserver":          apiserver.NewAPIServerCommand,
	"kube-controller-manager": controllers.NewControllerManagerCommand,
	"kube-proxy":              proxy.NewProxyCommand,
	"kube-scheduler":          func() *cobra.Command { return scheduler.NewSchedulerCommand() },
	"kubectl":                 kubectl.NewDefaultKubectlCommand,
	"kubelet":                 kubeletCommand(kubelet.NewKubeletCommand),
}

// Between 1.33 and 1.36 the kubelet's constructor has been given a context.
func kubeletCommand(construct any) func() *cobra.Command {
	if plain, ok := construct.(func() *cobra.Command); ok {
		return plain
	}
	return func() *cobra.Command { return construct.(func(context.Context) *cobra.Command)(context.Background()) }
}

func main() {
	program, known := programs[filepath.Base(os.Args[0])]
	if !known {
		fmt.Fprintf(os.Stderr, "%s: call me by a link named after a Kubernetes program\n", os.Args[0])
		os.Exit(2)
	}
	os.Exit(cli.Run(program()))
}
