package config

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

// Problems is every reason for which a program can't start. No reason shows the
// value of a secret.
type Problems []string

// Error lists the problems, one a line.
func (p Problems) Error() string {
	if len(p) == 1 {
		return p[0]
	}
	return fmt.Sprintf("%d things are wrong:\n  - %s", len(p), strings.Join(p, "\n  - "))
}

// Parse fills the command line cli, which embeds c, from args and the
// environment. It fails with Problems that name every unknown REELFLOW_
// variable, every bad value and what is wrong with the arguments. With --help it
// prints the help and exits, and so it does with --version where cli has a
// kong.VersionFlag.
func Parse(cli any, c *Config, args []string, options ...kong.Option) (*kong.Context, error) {
	found := findings{bad: map[string]bool{}}
	files := map[string]string{}
	own := append(found.mappers(), kong.Resolvers(fromFiles(files)), kong.Help(printHelp), kong.Vars{"version": Version()})
	parser, err := kong.New(cli, append(own, options...)...)
	if err != nil {
		return nil, err
	}
	found.unknown(parser.Model, os.Environ())
	maps.Copy(files, found.readFiles(parser.Model))
	command, err := parser.Parse(args)
	if usage := (*kong.ParseError)(nil); errors.As(err, &usage) {
		found.problems = append(found.problems, usage.Error())
		err = readSettings(parser.Model)
	}
	if err != nil {
		return nil, err
	}
	c.complete()
	c.check(&found)
	return command, found.err()
}

// readSettings reads the environment, which kong doesn't do once the arguments
// made no sense.
func readSettings(model *kong.Application) error {
	for _, flag := range model.Flags {
		if err := flag.Reset(); err != nil {
			return fmt.Errorf("--%s: %w", flag.Name, err)
		}
	}
	return nil
}

// findings collects problems; a setting that is bad in itself is not checked further.
type findings struct {
	problems Problems
	bad      map[string]bool // names of settings
}

func (f *findings) err() error {
	if len(f.problems) == 0 {
		return nil
	}
	slices.Sort(f.problems)
	return slices.Compact(f.problems)
}

// note records what is wrong with a setting, by both of its names: either may be
// where the value came from.
func (f *findings) note(setting string, err error) {
	if err != nil {
		f.problems = append(f.problems, fmt.Sprintf("--%s (%s): %v", setting, variable(setting), err))
	}
}

func variable(setting string) string {
	return "REELFLOW_" + strings.ToUpper(strings.ReplaceAll(setting, "-", "_"))
}

// mappers read values without ever failing: kong would stop at the first error,
// and would print the variable with its value.
func (f *findings) mappers() []kong.Option {
	return []kong.Option{
		kong.TypeMapper(reflect.TypeFor[time.Duration](), f.read(parseDuration)),
		kong.TypeMapper(reflect.TypeFor[int64](), f.read(parseInteger)),
		kong.TypeMapper(reflect.TypeFor[Addresses](), f.read(parseAddresses)),
	}
}

func (f *findings) read(parse func(string) (any, error)) kong.MapperFunc {
	return func(ctx *kong.DecodeContext, target reflect.Value) error {
		var text string
		if err := ctx.Scan.PopValueInto(ctx.Value.Name, &text); err != nil {
			return err
		}
		value, err := parse(text)
		switch {
		case err == nil:
			target.Set(reflect.ValueOf(value))
		case len(ctx.Value.Tag.Envs) == 0:
			return err // an argument of one command, not a setting
		default:
			f.note(ctx.Value.Name, err)
			f.bad[ctx.Value.Name] = true
		}
		return nil
	}
}

func parseDuration(text string) (any, error) {
	d, err := time.ParseDuration(text)
	if err != nil {
		return nil, fmt.Errorf("%q is not a duration; write for example 90s, 30m or 168h", text)
	}
	return d, nil
}

func parseInteger(text string) (any, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("%q is not a whole number", text)
	}
	return n, nil
}

func parseAddresses(text string) (any, error) {
	list := Addresses{}
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			list = append(list, Address(part))
		}
	}
	return list, nil
}

// notYet are variables that are kept for what is to come. Whoever sets one today expects
// something that doesn't happen.
var notYet = []string{
	"REELFLOW_SIGNING_KEY", "REELFLOW_MODERATION_URL", "REELFLOW_TRANSCRIPTION_URL", "REELFLOW_WEBHOOK_URL", "REELFLOW_OPERATOR_WINDOW",
}

// unknown finds REELFLOW_ variables that no flag of the program has.
func (f *findings) unknown(model *kong.Application, environ []string) {
	known := map[string]bool{}
	for _, flag := range model.Flags {
		for _, env := range flag.Tag.Envs {
			known[env] = true
		}
	}
	for _, pair := range environ {
		name, value, _ := strings.Cut(pair, "=")
		switch {
		case !strings.HasPrefix(name, "REELFLOW_") || known[name] || isFile(name, known):
		case !slices.Contains(notYet, name):
			f.problems = append(f.problems, name+" is not a setting; --help shows all of them")
		case value != "":
			f.problems = append(f.problems, name+" is set and does nothing yet: take it away, so that nobody relies on it")
		}
	}
}
