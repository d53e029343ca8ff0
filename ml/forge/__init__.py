"""The status of a commit at its forge: GitHub, GitLab or Gitea.

This room imports `ml.core` only: it works on the results that the Tasks of a run wrote. Start reading at
`summary`.
"""
