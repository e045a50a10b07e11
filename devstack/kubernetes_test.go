package main

import (
	"bytes"
	"fmt"
	"os"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// The example for Kubernetes says nothing that its API doesn't know, and its parts find
// each other. It is tested here because this module has the API's types already.
func TestKubernetesExample(t *testing.T) {
	text, err := os.ReadFile("../deploy/kubernetes/reelflow.yaml")
	if err != nil {
		t.Fatal(err)
	}
	deployments, budgets := map[string]*appsv1.Deployment{}, map[string]*policyv1.PodDisruptionBudget{}
	for i, doc := range bytes.Split(text, []byte("\n---\n")) {
		switch o := decode(t, i, doc).(type) {
		case *appsv1.Deployment:
			deployments[o.Name] = o
		case *policyv1.PodDisruptionBudget:
			budgets[o.Name] = o
		}
	}
	for _, part := range []string{"gateway", "control", "transfer", "media"} {
		d, b := deployments[part], budgets[part]
		if d == nil || b == nil {
			t.Fatalf("%s: has a deployment: %v, a budget: %v", part, d != nil, b != nil)
		}
		selector, err := metav1.LabelSelectorAsSelector(d.Spec.Selector)
		if err != nil || !equal(b.Spec.Selector, d.Spec.Selector) || selector.String() != metav1.FormatLabelSelector(metav1.SetAsLabelSelector(d.Spec.Template.Labels)) {
			t.Errorf("%s: deployment, pods and budget don't mean the same", part)
		}
		if *d.Spec.Replicas < 2 || b.Spec.MaxUnavailable.IntValue() >= int(*d.Spec.Replicas) {
			t.Errorf("%s: none may be left", part)
		}
		mustBeProbedAndConfined(t, part, d.Spec.Template.Spec)
	}
}

func equal(a, b *metav1.LabelSelector) bool {
	return metav1.FormatLabelSelector(a) == metav1.FormatLabelSelector(b)
}

// decode refuses fields that the kind doesn't have.
func decode(t *testing.T, i int, doc []byte) any {
	t.Helper()
	var kind metav1.TypeMeta
	if err := yaml.Unmarshal(doc, &kind); err != nil {
		t.Fatalf("document %d: %v", i, err)
	}
	known := map[string]any{
		"v1/Namespace": new(corev1.Namespace), "v1/ConfigMap": new(corev1.ConfigMap), "v1/Service": new(corev1.Service),
		"apps/v1/Deployment": new(appsv1.Deployment), "policy/v1/PodDisruptionBudget": new(policyv1.PodDisruptionBudget),
	}
	object, ok := known[kind.APIVersion+"/"+kind.Kind]
	if !ok {
		t.Fatalf("document %d is a %s of %s", i, kind.Kind, kind.APIVersion)
	}
	if err := yaml.UnmarshalStrict(doc, object); err != nil {
		t.Fatalf("document %d: %v", i, err)
	}
	return object
}

func mustBeProbedAndConfined(t *testing.T, part string, pod corev1.PodSpec) {
	t.Helper()
	ports, mounts := map[string]bool{}, map[string]bool{}
	c := pod.Containers[0]
	for _, p := range c.Ports {
		ports[p.Name] = true
	}
	for name, probe := range map[string]*corev1.Probe{"startup": c.StartupProbe, "liveness": c.LivenessProbe, "readiness": c.ReadinessProbe} {
		if probe == nil || probe.HTTPGet == nil || !ports[probe.HTTPGet.Port.String()] {
			t.Errorf("%s: its %s probe asks no port of it", part, name)
		}
	}
	s := c.SecurityContext
	if !*pod.SecurityContext.RunAsNonRoot || *s.AllowPrivilegeEscalation || !*s.ReadOnlyRootFilesystem || fmt.Sprint(s.Capabilities.Drop) != "[ALL]" {
		t.Errorf("%s: is not confined", part)
	}
	for _, v := range pod.Volumes {
		mounts[v.Name] = true
	}
	for _, m := range c.VolumeMounts {
		if !mounts[m.Name] {
			t.Errorf("%s: has no volume %s", part, m.Name)
		}
		delete(mounts, m.Name)
	}
	if len(mounts) > 0 {
		t.Errorf("%s: volumes that nothing mounts: %v", part, mounts)
	}
}
