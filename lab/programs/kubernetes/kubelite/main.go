// Command kubelite runs the API server, the controller manager, the scheduler, kube-proxy and the kubelet in one process, as
// MicroK8s's kubelite does: it takes their flags from MicroK8s's files, and when one of them ends, all end. It is made of
// Kubernetes' own packages; only what starts them and ends them together is here.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/pflag"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/rest"
	"k8s.io/component-base/logs"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	"k8s.io/component-base/version"
	_ "time/tzdata" // time zones of CronJobs
)

const (
	// healthyWithin is how long the API server may take before the others are started: MicroK8s's own limit.
	healthyWithin = 360 * time.Second
	// endsWithin is how long components may take to end in good order, once they were asked to.
	endsWithin = 10 * time.Second
)

// component is one of the five. Its flags are read before any component starts, since they set what all share: feature gates.
type component struct {
	name      string
	arguments string // the file that holds its flags
	configure func(flags []string) (start, error)
}

// start runs a component until it fails or the context ends.
type start func(ctx context.Context) error

type options struct {
	controlPlane bool
	version      bool
	arguments    map[string]*string
}

func main() {
	options, err := parse(os.Args[1:])
	if err == nil && options.version {
		fmt.Println("Kubernetes " + version.Get().GitVersion)
		return
	}
	if err == nil {
		err = run(options)
	}
	logs.FlushLogs()
	if err != nil {
		fmt.Fprintln(os.Stderr, "kubelite:", err)
		os.Exit(1)
	}
}

func parse(words []string) (options, error) {
	flags := pflag.NewFlagSet("kubelite", pflag.ExitOnError)
	parsed := options{arguments: map[string]*string{}}
	flags.BoolVar(&parsed.controlPlane, "start-control-plane", true, "run the API server, controller manager and scheduler too")
	flags.BoolVar(&parsed.version, "version", false, "print the version of Kubernetes and end")
	for _, name := range []string{apiServerName, controllerManagerName, schedulerName, proxyName, kubeletName} {
		parsed.arguments[name] = flags.String(name+"-args-file", "", "the file that holds the flags of "+name)
	}
	return parsed, flags.Parse(words)
}

// run starts the components in order and waits until the first of them ends, which ends all, or until a signal does.
func run(options options) error {
	rest.SetDefaultWarningHandler(rest.NoWarnings{}) // deprecated APIs that Kubernetes itself still reads
	server := newAPIServer()
	controlPlane := []component{
		{name: apiServerName, configure: server.configure},
		{name: controllerManagerName, configure: configureControllerManager},
		{name: schedulerName, configure: configureScheduler},
	}
	components := []component{
		{name: proxyName, configure: configureProxy},
		{name: kubeletName, configure: configureKubelet},
	}
	if options.controlPlane {
		components = append(controlPlane, components...)
	} else {
		close(server.healthy) // another node's; the kubelet and kube-proxy wait for it by themselves
	}
	starts, err := configure(components, options.arguments)
	if err != nil {
		return err
	}
	return runAll(genericapiserver.SetupSignalContext(), components, starts, server.healthy)
}

func configure(components []component, files map[string]*string) ([]start, error) {
	var starts []start
	for _, component := range components {
		flags, err := readArguments(*files[component.name])
		if err != nil {
			return nil, fmt.Errorf("flags of %s: %w", component.name, err)
		}
		start, err := component.configure(flags)
		if err != nil {
			return nil, fmt.Errorf("%s (flags of %s): %w", component.name, *files[component.name], err)
		}
		starts = append(starts, start)
	}
	return starts, nil
}

func runAll(ctx context.Context, components []component, starts []start, healthy <-chan struct{}) error {
	ended := make(chan error, len(components))
	late := time.After(healthyWithin)
	for i, component := range components {
		go func() { ended <- fmt.Errorf("%s ended: %w", component.name, orUnasked(starts[i](ctx))) }()
		select {
		case <-healthy:
		case err := <-ended:
			return err
		case <-ctx.Done():
			return awaitEnd(ended)
		case <-late:
			return fmt.Errorf("%s is not healthy after %s: see its messages above, and whether its datastore answers", apiServerName, healthyWithin)
		}
	}
	select {
	case err := <-ended:
		if ctx.Err() == nil {
			return err
		}
	case <-ctx.Done():
	}
	return awaitEnd(ended)
}

// awaitEnd lets components end in good order after a signal; an API server waits for its open watches longer than anyone should.
func awaitEnd(ended <-chan error) error {
	late := time.After(endsWithin)
	for range cap(ended) {
		select {
		case <-ended:
		case <-late:
			return nil
		}
	}
	return nil
}

func orUnasked(err error) error {
	if err == nil {
		return errors.New("it was not asked to")
	}
	return err
}
