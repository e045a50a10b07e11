package config

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/alecthomas/kong"
)

// fileLimit bounds the file of a setting, in bytes: none has more to say.
const fileLimit = 64 << 10

// readFiles reads the settings that the environment gives as files: REELFLOW_X_FILE is
// the path of a file that holds REELFLOW_X, as secrets are mounted. It returns the
// values by flag, without the line ends after them.
func (f *findings) readFiles(model *kong.Application) map[string]string {
	own := map[string]bool{}
	for _, flag := range model.Flags {
		for _, env := range flag.Tag.Envs {
			own[env] = true
		}
	}
	values := map[string]string{}
	for _, flag := range model.Flags {
		for _, env := range flag.Tag.Envs {
			path := os.Getenv(env + "_FILE")
			if path == "" || own[env+"_FILE"] { // a setting of its own, that is a path
				continue
			}
			text, err := readSetting(path)
			if _, twice := os.LookupEnv(env); twice && err == nil {
				err = fmt.Errorf("%s is set as well; set one of them", env)
			}
			if err != nil {
				f.problems = append(f.problems, fmt.Sprintf("%s_FILE: %v", env, err))
				f.bad[flag.Name] = true
				continue
			}
			values[flag.Name] = text
		}
	}
	return values
}

func readSetting(path string) (string, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return "", err
	case info.Size() > fileLimit:
		return "", errors.New("the file is too large to be a setting")
	}
	text, err := os.ReadFile(path)
	return strings.TrimRight(string(text), "\r\n"), err
}

// fromFiles gives kong what readFiles has read. A flag wins over it.
func fromFiles(values map[string]string) kong.Resolver {
	return kong.ResolverFunc(func(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
		if text, given := values[flag.Name]; given && len(flag.Tag.Envs) > 0 {
			return text, nil
		}
		return nil, nil
	})
}

// isFile reports whether a variable gives a setting as a file.
func isFile(variable string, known map[string]bool) bool {
	setting, file := strings.CutSuffix(variable, "_FILE")
	return file && known[setting]
}
