use clap::CommandFactory;

use super::*;

#[test]
fn the_commands_are_put_together_well() {
    Cli::command().debug_assert();
}

#[test]
fn the_help_is_short_and_grouped() {
    insta::assert_snapshot!("help", help(&[]));
}

#[test]
fn the_help_names_every_command() {
    let help = help(&[]);
    for command in Cli::command().get_subcommands() {
        let line = format!("  {:<14}  {}\n", command.get_name(), command.get_about().expect("it says what it is"));
        assert!(help.contains(&line), "{line}");
    }
}

#[test]
fn every_verb_has_examples_in_its_help() {
    let mut command = Cli::command();
    command.build();
    for noun in command.get_subcommands() {
        for verb in noun.get_subcommands() {
            let help = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("Examples:\n"), "{} {}", noun.get_name(), verb.get_name());
        }
    }
}

#[test]
fn the_help_of_the_verbs_that_people_meet_first() {
    for path in [["signal", "emit"], ["run", "list"], ["run", "timeline"], ["workflow", "validate"]] {
        insta::assert_snapshot!(format!("help_{}", path.join("_")), help(&path));
    }
}

fn help(path: &[&str]) -> String {
    let mut command = Cli::command().term_width(100);
    command.build();
    let verb =
        path.iter().fold(&mut command, |command, name| command.find_subcommand_mut(name).expect("it is a command"));
    verb.render_help().to_string()
}
