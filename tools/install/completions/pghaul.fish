# Completion of pghaul for fish.

complete -c pghaul -n __fish_use_subcommand -f -a init -d 'create a repository'
complete -c pghaul -n __fish_use_subcommand -f -a backup -d 'back up a cluster'
complete -c pghaul -n __fish_use_subcommand -f -a info -d 'list backups, or describe one'
complete -c pghaul -n __fish_use_subcommand -f -a ls -d 'list the files in a backup'
complete -c pghaul -n __fish_use_subcommand -f -a cat -d 'write a file of a backup to standard output'
complete -c pghaul -n __fish_use_subcommand -f -a restore -d 'put a backup back'
complete -c pghaul -n __fish_use_subcommand -f -a verify -d 'check a repository'
