package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

const (
	temporalPart = "temporal"
	anyPort      = "127.0.0.1:0"
	maxStores    = 10
)

type options struct {
	dir                   string // absolute
	parts                 []string
	stores                int
	temporal, ui, metrics string
	storeAddr             map[string]string // by name
	freePorts             bool
	memory                bool
	stdinParent           bool
	version               bool // print it, and nothing else
}

// parse reads the command line and settles every default. Addresses keep port 0 where a free port is wanted.
func parse(args []string) (options, error) {
	o := options{storeAddr: map[string]string{}}
	var only string
	var storeAddrs []string
	f := o.flags(&only, &storeAddrs)
	err := f.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		f.SetOutput(os.Stdout)
		f.PrintDefaults()
		return o, err
	case err != nil:
		return o, refusal{err.Error()}
	case o.version:
		return o, nil
	case f.NArg() > 0:
		return o, refusal{fmt.Sprintf("%q is no flag", f.Arg(0))}
	case o.dir == "":
		return o, refusal{"--dir is missing: the folder that keeps all state"}
	case o.stores < 0 || o.stores > maxStores:
		return o, refusal{fmt.Sprintf("--stores %d: there can be up to %d", o.stores, maxStores)}
	}
	if o.parts, err = chooseParts(only, o.storeNames()); err != nil {
		return o, err
	}
	if err := o.settleAddresses(storeAddrs); err != nil {
		return o, err
	}
	o.dir, err = makeFolder(o.dir)
	return o, err
}

// flags declares the command line. It prints nothing by itself: one error is one line, and help was asked for.
func (o *options) flags(only *string, storeAddrs *[]string) *flag.FlagSet {
	f := flag.NewFlagSet("devstack", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.StringVar(&o.dir, "dir", "", "`folder` for all state, made when it is missing (required)")
	f.BoolVar(&o.freePorts, "free-ports", false, "use free ports where no address is given")
	f.StringVar(only, "only", "", "comma-separated `parts` to run: temporal, stores, or a store's name (default all)")
	f.IntVar(&o.stores, "stores", 3, "`number` of stores: primary, backup-a, backup-b, ...")
	f.StringVar(&o.temporal, "temporal-addr", "", "`address` of Temporal's gRPC frontend (default 127.0.0.1:7233)")
	f.StringVar(&o.ui, "ui-addr", "", "`address` of Temporal's web UI (default 127.0.0.1:8233)")
	f.StringVar(&o.metrics, "metrics-addr", "", "`address` of Temporal's Prometheus metrics (default 127.0.0.1:0, a free port)")
	f.Func("store-addr", "`[NAME=]address` of a store, repeatable; without a name in the order of the stores that run "+
		"(default 127.0.0.1:9001, 9002, 9003, ...)", func(s string) error { *storeAddrs = append(*storeAddrs, s); return nil })
	f.BoolVar(&o.memory, "memory", false, "keep Temporal's state in memory only")
	f.BoolVar(&o.stdinParent, "stdin-parent", false, "stop when standard input ends")
	f.BoolVar(&o.version, "version", false, "print the version and exit")
	return f
}

// makeFolder makes the folder unless it is there, open to its owner alone, and returns its absolute path.
func makeFolder(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err == nil {
		err = os.MkdirAll(dir, 0o700)
	}
	if err != nil {
		return "", refusal{fmt.Sprintf("cannot keep state: %v; choose another folder with --dir", err)}
	}
	return dir, nil
}

// storeNames returns primary, backup-a, backup-b and so on.
func (o options) storeNames() []string {
	names := make([]string, o.stores)
	for i := range names {
		names[i] = "backup-" + string(rune('a'+i-1))
	}
	if o.stores > 0 {
		names[0] = "primary"
	}
	return names
}

// chooseParts returns the parts that --only names, in the fixed order temporal, primary, backup-a, ...
func chooseParts(only string, stores []string) ([]string, error) {
	all := append([]string{temporalPart}, stores...)
	if only == "" {
		return all, nil
	}
	var chosen []string
	for name := range strings.SplitSeq(only, ",") {
		switch {
		case name == "stores":
			chosen = append(chosen, stores...)
		case slices.Contains(all, name):
			chosen = append(chosen, name)
		default:
			return nil, refusal{fmt.Sprintf("--only %s: no such part; there are stores, %s", name, strings.Join(all, ", "))}
		}
	}
	parts := slices.DeleteFunc(all, func(name string) bool { return !slices.Contains(chosen, name) })
	if len(parts) == 0 {
		return nil, refusal{"--only stores with --stores 0 leaves nothing to run"}
	}
	return parts, nil
}

// settleAddresses gives everything an address that was given none, and checks them all.
func (o *options) settleAddresses(stores []string) error {
	if err := o.nameStoreAddresses(stores); err != nil {
		return err
	}
	o.temporal = o.orDefault(o.temporal, "127.0.0.1:7233")
	o.ui = o.orDefault(o.ui, "127.0.0.1:8233")
	o.metrics = o.orDefault(o.metrics, anyPort)
	errs := []error{
		checkAddress("temporal-addr", o.temporal), checkAddress("ui-addr", o.ui), checkAddress("metrics-addr", o.metrics),
	}
	for i, name := range o.storeNames() {
		o.storeAddr[name] = o.orDefault(o.storeAddr[name], net.JoinHostPort("127.0.0.1", strconv.Itoa(9001+i)))
		errs = append(errs, checkAddress("store-addr", o.storeAddr[name]))
	}
	return errors.Join(errs...)
}

// nameStoreAddresses takes the values of --store-addr. Those without a name go to the stores that run, in order.
func (o *options) nameStoreAddresses(given []string) error {
	unnamed := slices.DeleteFunc(slices.Clone(o.parts), func(part string) bool { return part == temporalPart })
	for _, entry := range given {
		name, addr, named := strings.Cut(entry, "=")
		switch {
		case named && !slices.Contains(o.storeNames(), name):
			return refusal{fmt.Sprintf("--store-addr %s: no store is named %q", entry, name)}
		case !named && len(unnamed) == 0:
			return refusal{fmt.Sprintf("--store-addr %s: more addresses than stores", entry)}
		case !named:
			name, addr, unnamed = unnamed[0], entry, unnamed[1:]
		}
		o.storeAddr[name] = addr
	}
	return nil
}

func (o *options) orDefault(addr, usual string) string {
	switch {
	case addr != "":
		return addr
	case o.freePorts:
		return anyPort
	}
	return usual
}

// checkAddress wants an IPv4 loopback address. Others are refused: the passwords of everything here are published.
func checkAddress(flag, addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return refusal{fmt.Sprintf("--%s: %q is no address like 127.0.0.1:7000", flag, addr)}
	}
	if ip := net.ParseIP(host); ip == nil || ip.To4() == nil || !ip.IsLoopback() {
		return refusal{fmt.Sprintf("--%s %s: only loopback addresses (127.0.0.1) are served", flag, addr)}
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return refusal{fmt.Sprintf("--%s %s: the port must be a number up to 65535", flag, addr)}
	}
	return nil
}

// part returns the options with which a child runs just one of the parts.
func (o options) part(name string) options {
	all := o.storeAddr
	o.parts = []string{name}
	o.storeAddr = map[string]string{}
	if addr, isStore := all[name]; isStore {
		o.storeAddr[name] = addr
	}
	return o
}

// at returns the options with the addresses that a part has reported, so that it can be started there again.
func (o options) at(r report) options {
	if r.Temporal != "" {
		o.temporal, o.ui, o.metrics = r.Temporal, strings.TrimPrefix(r.UI, "http://"), hostOf(r.Metrics)
	}
	o.storeAddr = map[string]string{}
	for _, s := range r.Stores {
		o.storeAddr[s.Name] = hostOf(s.Endpoint)
	}
	return o
}

// args is the command line that parse reads as these options.
func (o options) args() []string {
	args := []string{
		"--dir", o.dir, "--only", strings.Join(o.parts, ","), "--stores", strconv.Itoa(o.stores),
		"--temporal-addr", o.temporal, "--ui-addr", o.ui, "--metrics-addr", o.metrics, "--memory=" + strconv.FormatBool(o.memory),
		"--stdin-parent=" + strconv.FormatBool(o.stdinParent),
	}
	for name, addr := range o.storeAddr {
		args = append(args, "--store-addr", name+"="+addr)
	}
	return args
}
