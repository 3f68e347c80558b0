package main

import (
	"context"
	"time"

	"github.com/spf13/pflag"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apimachinery/pkg/util/wait"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/component-base/compatibility"
	cmfeatures "k8s.io/controller-manager/pkg/features"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	apiserveroptions "k8s.io/kubernetes/cmd/kube-apiserver/app/options"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	controllermanageroptions "k8s.io/kubernetes/cmd/kube-controller-manager/app/options"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	scheduleroptions "k8s.io/kubernetes/cmd/kube-scheduler/app/options"
)

const (
	apiServerName         = "kube-apiserver"
	controllerManagerName = "kube-controller-manager"
	schedulerName         = "kube-scheduler"
)

type apiServer struct {
	options *apiserveroptions.ServerRunOptions
	healthy chan struct{} // closed once the API server is healthy
}

func newAPIServer() *apiServer {
	return &apiServer{options: apiserveroptions.NewServerRunOptions(), healthy: make(chan struct{})}
}

func (s *apiServer) configure(flags []string) (start, error) {
	registry := s.options.GenericServerRunOptions.ComponentGlobalsRegistry
	return s.run, parseFlags(apiServerName, s.options.Flags(), registry, flags)
}

// run is upstream's app.Run in its parts, since the client that asks the server for its health comes with its configuration.
func (s *apiServer) run(ctx context.Context) error {
	completed, err := s.options.Complete(ctx)
	if err != nil {
		return err
	}
	if faults := completed.Validate(); len(faults) > 0 {
		return utilerrors.NewAggregate(faults)
	}
	config, err := apiserver.NewConfig(completed)
	if err != nil {
		return err
	}
	completedConfig, err := config.Complete()
	if err != nil {
		return err
	}
	server, err := apiserver.CreateServerChain(completedConfig)
	if err != nil {
		return err
	}
	prepared, err := server.PrepareRun()
	if err != nil {
		return err
	}
	go s.awaitHealth(ctx, config.KubeAPIs.ControlPlane.Generic.LoopbackClientConfig)
	return prepared.Run(ctx)
}

// awaitHealth asks as the server's own client, which may ask whatever the authorization mode is.
func (s *apiServer) awaitHealth(ctx context.Context, loopback *rest.Config) {
	client := kubernetes.NewForConfigOrDie(rest.AddUserAgent(loopback, "kubelite"))
	answers := func(ctx context.Context) (bool, error) {
		_, err := client.RESTClient().Get().AbsPath("/healthz").Timeout(5 * time.Second).DoRaw(ctx)
		return err == nil, nil
	}
	if wait.PollUntilContextCancel(ctx, 200*time.Millisecond, true, answers) == nil {
		close(s.healthy)
	}
}

func configureControllerManager(flags []string) (start, error) {
	options, err := controllermanageroptions.NewKubeControllerManagerOptions()
	if err != nil {
		return nil, err
	}
	known, disabled, aliases := controllermanager.KnownControllers(), controllermanager.ControllersDisabledByDefault(), controllermanager.ControllerAliases()
	run := func(ctx context.Context) error {
		// As upstream does it: without this feature it ends with the process, since its events would be lost at once otherwise.
		if !utilfeature.DefaultFeatureGate.Enabled(cmfeatures.ControllerManagerReleaseLeaderElectionLockOnExit) {
			ctx = context.WithoutCancel(ctx)
		}
		config, err := options.Config(context.WithoutCancel(ctx), known, disabled, aliases)
		if err != nil {
			return err
		}
		return controllermanager.Run(ctx, config.Complete())
	}
	named := options.Flags(known, disabled, aliases)
	options.ParsedFlags = &named
	return run, parseFlags(controllerManagerName, named, options.ComponentGlobalsRegistry, flags)
}

func configureScheduler(flags []string) (start, error) {
	options := scheduleroptions.NewOptions()
	run := func(ctx context.Context) error {
		config, configured, err := scheduler.Setup(ctx, options)
		if err != nil {
			return err
		}
		return scheduler.Run(ctx, config, configured)
	}
	return run, parseFlags(schedulerName, *options.Flags, options.ComponentGlobalsRegistry, flags)
}

// parseFlags parses a component's flags and puts its feature gates into force, before another component's can replace them.
func parseFlags(name string, named cliflag.NamedFlagSets, registry compatibility.ComponentGlobalsRegistry, words []string) error {
	flags := pflag.NewFlagSet(name, pflag.ContinueOnError)
	flags.SetNormalizeFunc(cliflag.WordSepNormalizeFunc)
	for _, set := range named.FlagSets {
		flags.AddFlagSet(set)
	}
	if err := parseWords(flags, words); err != nil {
		return err
	}
	return registry.Set()
}
