package main

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/util/validation/field"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/component-base/logs"
	logsapi "k8s.io/component-base/logs/api/v1"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
	kubeletoptions "k8s.io/kubernetes/cmd/kubelet/app/options"
	kubeletconfig "k8s.io/kubernetes/pkg/kubelet/apis/config"
	"k8s.io/kubernetes/pkg/kubelet/apis/config/validation"
	"k8s.io/kubernetes/pkg/kubelet/eviction"
	"k8s.io/kubernetes/pkg/kubelet/kubeletconfig/configfiles"
	"k8s.io/kubernetes/pkg/util/filesystem"
)

const (
	proxyName   = "kube-proxy"
	kubeletName = "kubelet"
)

// What a host of the lab needs and a server does not; what a file says comes later and so has its way.
var (
	// The kernel keeps these settings of connection tracking from containers, and kube-proxy ends where it cannot write them.
	proxyDefaults = []string{"--conntrack-max-per-core=0", "--conntrack-tcp-timeout-established=0s", "--conntrack-tcp-timeout-close-wait=0s"}
	// Limits of pods are version 1 control groups where the machine's controllers are.
	kubeletDefaults = []string{"--fail-cgroupv1=false"}
)

func configureProxy(flags []string) (start, error) {
	options := proxy.NewOptions()
	set := pflag.NewFlagSet(proxyName, pflag.ContinueOnError)
	options.AddFlags(set)
	if err := parseWords(set, append(proxyDefaults, flags...)); err != nil {
		return nil, err
	}
	run := func(ctx context.Context) error {
		if err := options.Complete(set); err != nil {
			return err
		}
		if err := options.Validate(); err != nil {
			return err
		}
		return options.Run(ctx)
	}
	return run, nil
}

func configureKubelet(flags []string) (start, error) {
	flags = append(kubeletDefaults, flags...)
	parsed := kubeletoptions.NewKubeletFlags()
	config, err := kubeletoptions.NewKubeletConfiguration()
	if err != nil {
		return nil, err
	}
	if err := parseKubelet(parsed, config, flags); err != nil {
		return nil, err
	}
	if parsed.KubeletConfigFile != "" {
		if config, err = loadKubelet(parsed.KubeletConfigFile); err != nil {
			return nil, err
		}
		// Flags come before the file's words: they are read again, into what the file gave.
		if err := parseKubelet(kubeletoptions.NewKubeletFlags(), config, flags); err != nil {
			return nil, err
		}
	}
	if err := applyKubelet(parsed, config); err != nil {
		return nil, err
	}
	return func(ctx context.Context) error { return runKubelet(ctx, parsed, config) }, nil
}

func parseKubelet(parsed *kubeletoptions.KubeletFlags, config *kubeletconfig.KubeletConfiguration, words []string) error {
	set := pflag.NewFlagSet(kubeletName, pflag.ContinueOnError)
	set.SetNormalizeFunc(cliflag.WordSepNormalizeFunc)
	parsed.AddFlags(set)
	kubeletoptions.AddKubeletConfigFlags(set, config)
	kubeletoptions.AddGlobalFlags(set)
	return parseWords(set, words)
}

func loadKubelet(file string) (*kubeletconfig.KubeletConfiguration, error) {
	path, err := filepath.Abs(file)
	if err != nil {
		return nil, err
	}
	loader, err := configfiles.NewFsLoader(&filesystem.DefaultFs{}, path)
	if err != nil {
		return nil, err
	}
	config, err := loader.Load(context.Background())
	if err == nil && config.EvictionHard == nil {
		config.EvictionHard = eviction.DefaultEvictionHard
	}
	return config, err
}

// applyKubelet validates, and puts what all components share into force: feature gates, and the logging of the whole process,
// which can be set once and is the kubelet's since a kubelet always runs.
func applyKubelet(parsed *kubeletoptions.KubeletFlags, config *kubeletconfig.KubeletConfiguration) error {
	if err := utilfeature.DefaultMutableFeatureGate.SetFromMap(config.FeatureGates); err != nil {
		return err
	}
	if err := kubeletoptions.ValidateKubeletFlags(parsed); err != nil {
		return err
	}
	if err := validation.ValidateKubeletConfiguration(config, utilfeature.DefaultFeatureGate); err != nil {
		return err
	}
	logs.InitLogs()
	return logsapi.ValidateAndApplyAsField(&config.Logging, utilfeature.DefaultFeatureGate, field.NewPath("logging"))
}

func runKubelet(ctx context.Context, parsed *kubeletoptions.KubeletFlags, config *kubeletconfig.KubeletConfiguration) error {
	server := &kubeletoptions.KubeletServer{KubeletFlags: *parsed, KubeletConfiguration: *config}
	dependencies, err := kubelet.UnsecuredDependencies(ctx, server, utilfeature.DefaultFeatureGate)
	if err != nil {
		return err
	}
	return kubelet.Run(ctx, server, dependencies, utilfeature.DefaultFeatureGate)
}

// parseWords parses flags; a word that is none is an error, as it is for each component itself.
func parseWords(flags *pflag.FlagSet, words []string) error {
	if err := flags.Parse(words); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("%q is not a flag", flags.Arg(0))
	}
	return nil
}
