//! Where settings come from, in rising order of strength: `config/default.toml`, the file of the
//! profile, the operator's file, the environment. Unknown keys are faults and go no further.

use std::{collections::BTreeMap, fs, path::Path};

use super::{
    Profile,
    fault::Fault,
    keys::{self, FILE_SUFFIX, KnownKeys, PREFIX, SECRETS, SecretKey, TABLE_LISTS},
    layer::Layer,
};

const DEFAULT: &str = include_str!("../../config/default.toml");
const DEVELOPMENT: &str = include_str!("../../config/development.toml");
const PRODUCTION: &str = include_str!("../../config/production.toml");

/// The origin of a value nobody has set.
pub(super) const DEFAULT_ORIGIN: &str = "config/default.toml";
/// Chooses the profile. One underscore: it is not a key.
const PROFILE_VARIABLE: &str = "OTP_AUTH_ENV";

/// The layers of all sources, weakest first, and what was wrong with them.
pub(super) struct Sources {
    pub(super) profile: Profile,
    pub(super) layers: Vec<Layer>,
    pub(super) faults: Vec<Fault>,
}

impl Sources {
    pub(super) fn read(
        environment: impl Iterator<Item = (String, String)>,
        config_file: Option<&Path>,
    ) -> Self {
        // Only what may be ours. Variables that begin with OTP_AUTH_ and one underscore are not:
        // Kubernetes sets OTP_AUTH_PORT and others for a service of that name.
        let variables: BTreeMap<String, String> = environment
            .filter(|(name, _)| {
                name.starts_with(PREFIX)
                    || name == PROFILE_VARIABLE
                    || usual_names().any(|usual| name.strip_suffix(FILE_SUFFIX) == Some(usual))
                    || usual_names().any(|usual| name == usual)
            })
            .collect();

        let mut sources = Self {
            profile: Profile::Production,
            layers: Vec::new(),
            faults: Vec::new(),
        };
        sources.profile = sources.profile_of(&variables);
        let defaults = sources.built_in(DEFAULT, DEFAULT_ORIGIN);
        let known = KnownKeys::of(&defaults);
        let profile = match sources.profile {
            Profile::Development => sources.built_in(DEVELOPMENT, "config/development.toml"),
            Profile::Production => sources.built_in(PRODUCTION, "config/production.toml"),
        };
        let file = config_file
            .map(|path| sources.file(path, &known))
            .unwrap_or_default();
        let environment = sources.environment(&variables, &known);
        sources.layers = vec![defaults, profile, file, environment];
        sources
    }

    fn fault(&mut self, key: impl Into<String>, problem: impl Into<String>) {
        self.faults.push(Fault {
            key: key.into(),
            origin: None,
            problem: problem.into(),
        });
    }

    fn profile_of(&mut self, variables: &BTreeMap<String, String>) -> Profile {
        match variables.get(PROFILE_VARIABLE).map(String::as_str) {
            None | Some("development") => Profile::Development,
            Some("production") => Profile::Production,
            Some(other) => {
                self.fault(
                    PROFILE_VARIABLE,
                    format!("{other:?} is unknown; set it to development or production"),
                );
                // The stricter one: whoever sets it has more than a trial in mind.
                Profile::Production
            }
        }
    }

    fn built_in(&mut self, text: &str, origin: &str) -> Layer {
        Layer::from_toml(text, origin).unwrap_or_else(|problem| {
            self.fault(origin, problem);
            Layer::default()
        })
    }

    fn file(&mut self, path: &Path, known: &KnownKeys) -> Layer {
        let origin = path.display().to_string();
        let layer = match fs::read_to_string(path) {
            Ok(text) => Layer::from_toml(&text, &origin),
            Err(error) => Err(format!("cannot be read: {error}")),
        };
        match layer {
            Ok(layer) => self.keep_known(layer, known, &origin),
            Err(problem) => {
                self.fault(origin, problem);
                Layer::default()
            }
        }
    }

    fn keep_known(&mut self, layer: Layer, known: &KnownKeys, origin: &str) -> Layer {
        let mut kept = Layer::default();
        for (key, value) in layer.values {
            if known.contains(&key) {
                kept.values.insert(key, value);
            } else if !(known.has_section(&key) && is_empty_table(&value)) {
                let problem = known.explain_unknown(&key);
                self.faults.push(Fault {
                    key,
                    origin: Some(origin.to_owned()),
                    problem,
                });
            }
        }
        kept
    }

    fn environment(&mut self, variables: &BTreeMap<String, String>, known: &KnownKeys) -> Layer {
        let mut layer = Layer::default();
        for secret in &SECRETS {
            self.secret(secret, variables, &mut layer);
        }
        for (name, value) in variables {
            let key = known.iter().find(|key| keys::variable(key) == *name);
            match key {
                Some(key) if TABLE_LISTS.contains(&key) => {
                    let problem = format!(
                        "cannot be given in the environment; write [[{key}]] in the file given by \
                         --config"
                    );
                    self.fault(name, problem);
                }
                Some(key) if SECRETS.iter().any(|secret| secret.key == key) => {}
                Some(key) => layer.set(key, value.as_str(), &origin_of(name)),
                None => self.refuse_unknown_variable(name, known),
            }
        }
        layer
    }

    fn refuse_unknown_variable(&mut self, name: &str, known: &KnownKeys) {
        let files = SECRETS
            .iter()
            .map(|secret| keys::variable(secret.key) + FILE_SUFFIX);
        let names: Vec<String> = known
            .iter()
            .map(keys::variable)
            .chain(files.clone())
            .collect();
        if name.starts_with(PREFIX) && !files.into_iter().any(|file| file == name) {
            let suggestion = keys::suggest(&name.to_uppercase(), names.iter().map(String::as_str));
            self.fault(name, keys::unknown(suggestion));
        }
    }

    /// Takes a secret from its variable or the file that its variable names; the usual name only
    /// counts when ours is not used.
    fn secret(
        &mut self,
        secret: &SecretKey,
        variables: &BTreeMap<String, String>,
        layer: &mut Layer,
    ) {
        let ours = keys::variable(secret.key);
        for name in [Some(ours.as_str()), secret.usual_name]
            .into_iter()
            .flatten()
        {
            let file_name = format!("{name}{FILE_SUFFIX}");
            match (variables.get(name), variables.get(&file_name)) {
                (None, None) => continue,
                (Some(_), Some(_)) => {
                    self.fault(
                        name,
                        format!("is set, and {file_name} too; keep one of them"),
                    );
                }
                (Some(value), None) => self.keep_secret(secret.key, value, name, layer),
                (None, Some(path)) => match fs::read_to_string(path) {
                    Ok(text) => {
                        let value = text.trim_end_matches(['\r', '\n']);
                        self.keep_secret(secret.key, value, &file_name, layer);
                    }
                    // The path is not shown: it may be the secret itself, set under this name by
                    // mistake.
                    Err(error) => {
                        self.fault(
                            &file_name,
                            format!("names a file that cannot be read ({}); mend the path or the file's permissions", error.kind()),
                        );
                    }
                },
            }
            return;
        }
    }

    fn keep_secret(&mut self, key: &str, value: &str, name: &str, layer: &mut Layer) {
        if value.is_empty() {
            self.fault(name, "is empty; give a value or unset it");
        } else {
            layer.set(key, value, &origin_of(name));
        }
    }
}

fn origin_of(variable: &str) -> String {
    format!("the environment variable {variable}")
}

fn usual_names() -> impl Iterator<Item = &'static str> {
    SECRETS.iter().filter_map(|secret| secret.usual_name)
}

fn is_empty_table(value: &::config::Value) -> bool {
    matches!(&value.kind, ::config::ValueKind::Table(table) if table.is_empty())
}
