package objects

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/reelflow/reelflow/video"
)

const urlForm = "s3://[user:password@]host[:port]/bucket?region=REGION&tls=true|false&name=NAME, or s3:///bucket?region=REGION&name=NAME for Amazon S3"

var (
	nameForm = regexp.MustCompile(`^[a-z0-9-]+$`)
	// Bucket naming rules of the S3 user guide, less its reserved words.
	bucketForm = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
)

// OpenAll opens the primary and the backups. All bad URLs are reported at once,
// joined; the names must differ.
func OpenAll(primary string, backups []string) (Set, error) {
	var set Set
	var problems []error
	names := map[string]bool{}
	for i, raw := range append([]string{primary}, backups...) {
		role := "The primary store"
		if i > 0 {
			role = fmt.Sprintf("Backup store %d", i)
		}
		loc, err := parse(raw)
		if err == nil && names[loc.name] {
			err = fmt.Errorf("name %q is taken by another store", loc.name)
		}
		if err != nil {
			problems = append(problems, video.Errorf(video.Invalid, "%s: %v.", role, err))
			continue
		}
		names[loc.name] = true
		store, err := connect(loc)
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", role, err))
		} else if i == 0 {
			set.Primary = store
		} else {
			set.Backups = append(set.Backups, store)
		}
	}
	if len(problems) > 0 {
		return Set{}, errors.Join(problems...)
	}
	return set, nil
}

// Open makes the Store that raw describes, without calling it:
//
//	s3://[user:password@]host[:port]/bucket?region=&tls=&name=
//	s3:///bucket?region=&name=
//
// User and password are the access key and its secret, percent-encoded; without
// them the AWS SDK's default credential chain serves. Host is addressed in path
// style, over TLS unless tls=false; without a host it is Amazon S3 in virtual
// host style. The region defaults to us-east-1 with a host, and to the AWS
// settings without. Name is required: it stands for the store everywhere.
//
// A bad URL is Invalid, with every problem named and no part of the secret.
func Open(raw string) (*S3, error) {
	loc, err := parse(raw)
	if err != nil {
		return nil, video.Errorf(video.Invalid, "The store URL: %v.", err)
	}
	return connect(loc)
}

// location is what a store URL says.
type location struct {
	name, bucket   string
	endpoint       string // "" is Amazon S3
	region         string // "" is what the AWS settings say
	user, password string // "" is the default credential chain
}

// parse never repeats the URL, nor what net/url says about it: either could
// hold the password.
func parse(raw string) (location, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return location{}, fmt.Errorf("it is no valid URL (user and password must be percent-encoded); the form is %s", urlForm)
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return location{}, fmt.Errorf("what follows the ? is not of the form key=value&key=value; the form is %s", urlForm)
	}
	loc := location{name: query.Get("name"), region: query.Get("region"), bucket: strings.TrimPrefix(u.Path, "/")}
	loc.user = u.User.Username()
	loc.password, _ = u.User.Password()

	var problems []string
	wrong := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	if u.Scheme != "s3" {
		wrong("it must begin with s3://")
	}
	if u.User != nil && (loc.user == "" || loc.password == "") {
		wrong("it needs both user and password, or neither for the default credential chain")
	}
	if !bucketForm.MatchString(loc.bucket) {
		wrong("its path must be a bucket: 3 to 63 of a-z, 0-9, - and .")
	}
	if !nameForm.MatchString(loc.name) {
		wrong("it needs a name= of a-z, 0-9 and -")
	}
	for key, values := range query {
		if !slices.Contains([]string{"name", "region", "tls"}, key) || len(values) > 1 {
			wrong("only region=, tls= and name= may follow the ?, once each")
			break
		}
	}
	loc.endpoint, err = endpoint(u.Host, query.Get("tls"))
	if err != nil {
		wrong("%v", err)
	}
	if loc.endpoint != "" && loc.region == "" {
		loc.region = "us-east-1"
	}
	if len(problems) > 0 {
		slices.Sort(problems)
		return location{}, fmt.Errorf("%s; the form is %s", strings.Join(problems, "; "), urlForm)
	}
	return loc, nil
}

func endpoint(host, tls string) (string, error) {
	switch {
	case tls != "" && tls != "true" && tls != "false":
		return "", errors.New("tls must be true or false")
	case host == "" && tls == "false":
		return "", errors.New("tls=false needs a host")
	case host == "":
		return "", nil
	case tls == "false":
		return "http://" + host, nil
	default:
		return "https://" + host, nil
	}
}

func connect(loc location) (*S3, error) {
	cfg := aws.Config{Region: loc.region, HTTPClient: newHTTPClient()}
	if loc.user != "" {
		cfg.Credentials = credentials.NewStaticCredentialsProvider(loc.user, loc.password, "")
	} else {
		var err error
		// Reads files and the environment; nothing is called until the first request.
		cfg, err = config.LoadDefaultConfig(context.Background(), config.WithRegion(loc.region), config.WithHTTPClient(cfg.HTTPClient))
		if err != nil {
			return nil, video.Errorf(video.Invalid, "The AWS settings for the store %q can't be read.", loc.name).Because(err)
		}
		if cfg.Region == "" {
			return nil, video.Errorf(video.Invalid, "The store %q needs a region=.", loc.name)
		}
	}
	client := s3.NewFromConfig(cfg, func(o *s3.Options) {
		if loc.endpoint != "" {
			o.BaseEndpoint, o.UsePathStyle = &loc.endpoint, true
		}
		if buildable, ok := o.HTTPClient.(*awshttp.BuildableClient); ok {
			o.HTTPClient = buildable.Freeze()
		}
		o.Retryer = newRetryer()
		// The default, a CRC64 of every body, is refused by several stores and
		// repeats what the manifest's SHA-256 does.
		o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
		o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
	})
	return &S3{name: loc.name, bucket: loc.bucket, client: client, keeps: purgeKeeps}, nil
}
